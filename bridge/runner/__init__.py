"""Owns the border between the two users: what the bridge asks for, and the process that does it
as the tools' user.
"""
