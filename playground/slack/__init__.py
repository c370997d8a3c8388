"""Owns a workspace like Slack: state, events, interactions, and the rules that real clients
enforce.
"""
