from bot.bridge_client.client import HttpBridge as HttpBridge
from bot.bridge_client.requests import Limits as Limits
