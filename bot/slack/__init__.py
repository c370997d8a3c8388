"""Owns everything Slack: events, messages, blocks and limits. Slack's markup and ids do not go
below it, and no rule of the product is decided here.
"""
