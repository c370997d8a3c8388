"""Owns the bridge's routes: reading requests, streams of events, connections. It decides nothing
about tasks.
"""
