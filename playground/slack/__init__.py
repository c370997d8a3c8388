"""Owns a workspace like Slack: its state, its events, its Web API, and Slack's own rules.

The server is on top: it serves the Web API and the control API, on which a `UserClient` acts as a
person. Below them `SlackWorkspace` performs each act. At the bottom is the data alone.
"""
