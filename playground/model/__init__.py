"""Owns the scripted model: scenarios answered in the dialect of chat completions, with faults on
demand.
"""
