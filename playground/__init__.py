"""Plays the services around the product: a local Slack with a page, a scripted model, a git host.

The demo and the tests run against it. It speaks the protocols, and imports neither the bot nor the
bridge.
"""
