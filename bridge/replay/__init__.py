"""Owns the run of a recorded agent without a model, for finding out what happened."""
