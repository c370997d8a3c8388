"""Owns the Docker engine: containers, volumes, networks and their limits. It knows nothing of
tasks, threads or models.
"""
