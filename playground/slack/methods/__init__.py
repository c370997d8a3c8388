"""Owns the Web API methods, one function for each."""
