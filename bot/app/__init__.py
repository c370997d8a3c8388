"""Owns how the parts are put together, and in which order they start, work and end. It knows no
rule of the product.
"""
