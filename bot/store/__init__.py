"""Owns the database: SQL, transactions, migrations, and which process may write. It decides
nothing.
"""
