"""Holds what every part of the product depends on: the ports, the settings, the clock."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from bot.agents.health_checks import Examination, nothing
from bot.agents.ports.people import Presenter
from bot.agents.ports.sandbox import (
    Bridge,
    Gateway,
    Runtime,
)
from bot.agents.ports.store import (
    Outbox,
    Store,
)
from bot.config import Settings
from bot.domain.agent import Agent
from bot.domain.container import BridgeAddress
from bot.redaction import Hide

# Gets a file that somebody shared, by its id and up to so many bytes; raises FileUnavailable.
FetchFile = Callable[[str, int], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The outside, as ports. `bridge_token` gives the token that one agent's bridge accepts.

    `variables` are what an agent's tools find in their environment; `hide` takes known secrets out
    of a text; `examine` runs the checks of the deployment. Without `fetch_file`, attached files are
    named and not delivered.
    """

    settings: Settings
    store: Store
    outbox: Outbox
    runtime: Runtime
    bridge: Bridge
    gateway: Gateway
    presenter: Presenter
    bridge_token: Callable[[str], SecretStr]
    clock: Callable[[], float] = time.time
    variables: Callable[[Agent], Mapping[str, str]] = lambda _: {}
    hide: Hide = str
    fetch_file: FetchFile | None = None
    examine: Examination = nothing

    def address(self, agent_id: str, endpoint: str) -> BridgeAddress:
        """Returns the address of the agent's bridge at this endpoint."""
        return BridgeAddress(endpoint, self.bridge_token(agent_id))

    async def bridge_of(self, agent_id: str) -> BridgeAddress | None:
        """Returns the address of the agent's bridge; None when its container does not run.

        Raises EngineError when the engine does not answer.
        """
        container = await self.runtime.find(agent_id)
        if container is None or container.endpoint is None:
            return None
        return self.address(agent_id, container.endpoint)
