from bot.bridge_client.client import HttpBridge as HttpBridge, Limits as Limits
