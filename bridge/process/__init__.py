"""Owns processes: running commands with limits, ending whole process trees, and how a process of
the container logs. It knows nothing of git or of models.
"""
