"""A local Slack, a scripted model and a git host, for the demo and as the other side of the
tests. It speaks the protocols and imports neither side.
"""
