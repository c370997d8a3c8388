"""The host side: maps each Slack thread to an agent, and holds everything that the agent must
not.
"""
