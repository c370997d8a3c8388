"""What every part of the product is given: the ports, the limits, the clock."""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from bot.agents.health_checks import Examination, nothing
from bot.agents.ports.people import (
    Presenter,
)
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
from bot.domain.container import (
    BridgeAddress,
)
from bot.redaction import Hide

# Gets a file that somebody shared, by its id and up to so many bytes; raises FileUnavailable.
FetchFile = Callable[[str, int], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Dependencies:
    """The outside, as ports. `bridge_token` gives the token that one agent's bridge wants.

    `variables` are what an agent's tools find in their environment; `hide` takes known secrets out
    of what people wrote; `examine` looks how the deployment is. Without `fetch_file`, what people
    attach is named and not handed over.
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
        """Where the agent's bridge answers, with its token."""
        return BridgeAddress(endpoint, self.bridge_token(agent_id))
