"""Owns the steps from each older database to today's."""
