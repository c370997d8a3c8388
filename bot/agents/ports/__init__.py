"""Owns the ports: the interfaces through which agents reach the outside. They know no adapter.

Each port has one real adapter, one fake in tests/fakes.py, and one set of checks in
tests/contracts.py that both pass; the checks of the store run on the real one, as all tests do.
"""
