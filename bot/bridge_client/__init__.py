"""Owns the HTTP connection to the bridges: requests, event streams, bounds on what an untrusted
container says. It knows nothing of threads or the database.
"""

from bot.bridge_client.client import HttpBridge as HttpBridge
from bot.bridge_client.http import ClientLimits as ClientLimits
