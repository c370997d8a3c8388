"""Owns the checkout: safe file access below one directory, git, diffs, patches, snapshots,
pushes.
"""
