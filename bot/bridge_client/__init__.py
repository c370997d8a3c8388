from bot.bridge_client.client import HttpBridge as HttpBridge
from bot.bridge_client.http import ClientLimits as ClientLimits
