"""Owns the values and the pure rules of the product. It does no input or output and imports
nothing of the outside but the wire contract.
"""
