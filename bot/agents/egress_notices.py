"""Reports in the thread which hosts tools were refused: one line for each call.

The gateway reports every refusal at once; they are gathered here, so that a tool that tries ten
thousand hosts makes one line, and costs the database next to nothing.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cachetools import LRUCache

from bot.agents.agent_parts import AgentParts
from bot.agents.ports.people import Presenter
from bot.agents.ports.store import Store
from bot.domain.agent import Agent
from bot.domain.egress import Denial
from bot.errors import StoreUnavailable
from bridge.protocol import ToolStarted

logger = logging.getLogger(__name__)

GATHER_SECONDS = 1.0
MOST_TALLIES = 1_000  # of agents; many more than run at once
_MAX_HOSTS = 1_000
_MAX_GATHERED = 10_000
# More than an agent begins, one after the other, while denials are gathered.
_NEWEST_CALLS = 100


@dataclass(slots=True)
class _Tally:
    """Collects the refusals of one call: the first denial of each host."""

    call_id: str
    hosts: dict[str, Denial] = field(default_factory=dict)

    def add(self, denial: Denial) -> bool:
        """Adds a denial; returns False when the notice stays the same."""
        if denial.host in self.hosts or len(self.hosts) >= _MAX_HOSTS:
            return False
        self.hosts[denial.host] = denial
        return True


class EgressNotices:
    """Of all agents. `note` never waits; `run` does the rest."""

    def __init__(
        self, store: Store, presenter: Presenter, pause_seconds: float = GATHER_SECONDS
    ) -> None:
        self._store = store
        self._presenter = presenter
        self._pause_seconds = pause_seconds
        self._parts = AgentParts(store, presenter, time.time, "report the hosts that it is refused")
        self._waiting: dict[str, dict[tuple[str, int], Denial]] = {}
        self._tallies: LRUCache[str, _Tally] = LRUCache(MOST_TALLIES)
        self._noted = asyncio.Event()

    def note(self, agent_id: str, denial: Denial) -> None:
        """Notes that a tool of this agent was refused."""
        waiting = self._waiting.setdefault(agent_id, {})
        if len(waiting) < _MAX_GATHERED:
            waiting.setdefault((denial.host, int(denial.at)), denial)
        self._noted.set()

    async def run(self) -> None:
        """Posts the notices, until cancelled."""
        if self._waiting:  # an earlier run failed at one agent, before it reached the others
            self._noted.set()
        while True:
            await self._noted.wait()
            # The event of the call may come a little after what the call does.
            await asyncio.sleep(self._pause_seconds)
            self._noted.clear()
            for agent_id in list(self._waiting):
                denials = self._waiting.pop(agent_id)
                posting = functools.partial(self._post, agent_id, denials.values())
                try:
                    await self._parts.run(agent_id, posting)
                except StoreUnavailable as error:
                    logger.warning("%s was refused hosts, not reported: %s", agent_id, error)

    async def _post(self, agent_id: str, denials: Iterable[Denial]) -> None:
        agent = await self._store.agent(agent_id)
        if agent is None or not agent.alive:
            self._tallies.pop(agent_id, None)
            return
        calls = await self._newest_calls(agent)
        changed: dict[str, tuple[_Tally, str]] = {}
        for denial in denials:
            call = next((call for call in reversed(calls) if call.at <= denial.at), None)
            tally = self._tally(agent_id, call.call_id if call else "")
            if tally.add(denial):
                changed[tally.call_id] = (tally, call.target if call else "")
        if not changed:
            return
        async with self._store.transaction() as tx:
            current = await tx.agent(agent_id)
            if current is None:
                return
            for tally, command in changed.values():
                key = f"{current.task_id}:{tally.call_id}"
                hosts = tuple(tally.hosts.values())
                await tx.enqueue(agent_id, self._presenter.denied(current, key, command, hosts))

    async def _newest_calls(self, agent: Agent) -> Sequence[ToolStarted]:
        """Returns the calls that may have been refused just now."""
        events = await self._store.events(
            agent.id, agent.task_id, kinds=(ToolStarted,), newest=_NEWEST_CALLS
        )
        return [event for event in events if isinstance(event, ToolStarted)]

    def _tally(self, agent_id: str, call_id: str) -> _Tally:
        """Returns the tally of this call; an agent's calls come one after the other."""
        known = self._tallies.get(agent_id)
        if known is None or known.call_id != call_id:
            known = self._tallies[agent_id] = _Tally(call_id)
        return known
