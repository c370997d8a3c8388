"""Owns the questions asked before something happens: may this person, is there money, which
secret, what is set here. It knows nothing of containers.
"""
