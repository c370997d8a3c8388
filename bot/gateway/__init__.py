"""Owns the only way out of a sandbox that carries credentials: model calls, git, allow-listed
egress. It knows nothing of Slack or of tasks.
"""
