"""Owns the life of each agent's run: capacity, boot, following the events, delivering messages,
and the one supervisor task. Begin with `run`. It knows nothing of who asked.
"""
