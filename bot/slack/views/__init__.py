"""Owns the blocks: turns domain values into posts, modals and the Home tab. Pure: the same input
gives the same blocks.
"""
