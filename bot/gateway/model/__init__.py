"""Owns the model proxy: which models, what a call may cost, what it did cost, and the provider's
list.
"""
