"""Owns the loopback ports through which a sealed container reaches the gateway's sockets. It
passes bytes on and understands none of them.
"""
