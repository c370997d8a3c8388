"""Owns the proxy through which tools fetch from the web: which hosts, which addresses, what is
refused. It holds no credential.
"""
