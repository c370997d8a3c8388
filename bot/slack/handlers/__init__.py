"""Owns one file for each surface that people touch: its listeners, and what they call. A handler
acknowledges, translates, asks the service.
"""
