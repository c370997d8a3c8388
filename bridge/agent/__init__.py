"""Owns the agent: a session, its tasks, and the loop from model to tools and back. Begin with
`loop`. It knows nothing of HTTP or of Slack.
"""
