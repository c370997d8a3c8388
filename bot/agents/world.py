"""What every part of the product is given: the ports, the limits, the clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr

from bot.agents.ports import Bridge, BridgeAddress, Gateway, Outbox, Runtime, Store, Voice
from bot.config import Settings


@dataclass(frozen=True, slots=True)
class World:
    """The outside, as ports. `bridge_token` gives the token that one agent's bridge wants."""

    settings: Settings
    store: Store
    outbox: Outbox
    runtime: Runtime
    bridge: Bridge
    gateway: Gateway
    voice: Voice
    bridge_token: Callable[[str], SecretStr]
    clock: Callable[[], float] = time.time

    def address(self, agent_id: str, endpoint: str) -> BridgeAddress:
        """Where the agent's bridge answers, with its token."""
        return BridgeAddress(endpoint, self.bridge_token(agent_id))
