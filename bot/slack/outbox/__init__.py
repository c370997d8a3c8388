"""Owns the sending of stored posts: one sender, Slack's budgets, what Slack refuses. It knows
nothing of what a post means.
"""
