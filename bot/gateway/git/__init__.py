"""Owns the git proxy and the calls to the git host: one repository for each agent, pushes to its
own branch only.
"""
