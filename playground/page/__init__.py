"""Owns the web page: what it loads, and the live feed behind it."""
