"""The container side: the HTTP server, the agent loop, and the tools on one checkout. It never
imports the bot.
"""
