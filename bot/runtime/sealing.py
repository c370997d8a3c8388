"""Whether containers get no network at all: what is wanted, and what the engine can do."""

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bot.config import Settings
from bot.errors import ConfigurationError

_OPEN = "Set SANDBOX_NETWORK=open, and read SECURITY.md about what containers reach then."


async def why_open(why_not: Callable[[], Awaitable[str]], settings: Settings) -> str:
    """Why containers get a network; empty where they are sealed, which is the rule.

    `why_not` asks the engine, as `why_not_sealed` answers. Raises ConfigurationError when sealing
    is asked for and cannot be, and what `why_not` raises.
    """
    if settings.sandbox_network == "open":
        return "SANDBOX_NETWORK=open"
    reason = await why_not()
    if reason and settings.sandbox_network == "sealed":
        raise ConfigurationError(f"SANDBOX_NETWORK=sealed: {reason}. {_OPEN}")
    return reason


def why_not_sealed(info: Mapping[str, Any], address: str, platform: str = sys.platform) -> str:
    """Why this engine's containers cannot use sockets of this host; empty when they can."""
    options = " ".join(map(str, info.get("SecurityOptions") or ()))
    if platform != "linux":
        return "the bot does not run on Linux"
    if not address.startswith("unix://"):
        return "the engine is not reached by a socket of this machine"
    if "Desktop" in str(info.get("OperatingSystem", "")):
        return "the engine runs in a virtual machine"
    if "name=rootless" in options or "name=userns" in options:
        return "the engine maps users, so that sockets cannot be shared with its containers"
    return ""
