"""Owns what survives the bridge's process: the event log, the conversation, and what is derived
from them.
"""
