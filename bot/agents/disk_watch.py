"""Keeps the files of each agent below the disk's limit: warns, then ends what writes.

Most engines do not bound volumes. The engine measures, because a container is not to be trusted.
"""

import asyncio
import functools
import logging

from bot.agents.agent_parts import AgentParts
from bot.agents.context import Dependencies
from bot.agents.deadlines import INTERRUPT_WAIT_SECONDS
from bot.agents.lifecycle.fleet import Fleet
from bot.domain.agent import Agent, AgentStatus
from bot.errors import BotError

logger = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
# To measure is to walk through all files: it may take this part of the time, and no more.
_SHARE = 0.1
_WARN_AT = 0.8
# A warned agent may tidy up, as long as its files do not grow by more than this meanwhile.
_GROWN = 1.05
_WRITES = frozenset({AgentStatus.WORKING, AgentStatus.IDLE})


class DiskWatch:
    """Measures the files of all agents whose containers may run."""

    def __init__(self, deps: Dependencies, fleet: Fleet) -> None:
        self._deps = deps
        self._fleet = fleet
        self._limit = deps.settings.container_disk_bytes
        self._parts = AgentParts(
            deps.store,
            deps.presenter,
            deps.clock,
            "keep its files within their limit",
            never_parked=True,
        )
        self._warned: dict[str, int] = {}

    async def run(self) -> None:
        """Measures again and again, until cancelled; without a limit there is nothing to do."""
        loop = asyncio.get_running_loop()
        while self._limit:
            began = loop.time()
            try:
                await self.measure()
            except BotError as error:
                logger.warning("the agents' files are not measured: %s", error)
            await asyncio.sleep(max(PAUSE_SECONDS, (loop.time() - began) / _SHARE))

    async def measure(self) -> None:
        """Measures once, then warns or interrupts; raises EngineError."""
        alive = await self._deps.store.agents(alive=True)
        agents = [agent for agent in alive if agent.status in _WRITES]
        sizes = await self._deps.runtime.disk_usage() if agents else {}
        for agent in agents:
            size = sizes.get(agent.id, 0)
            await self._parts.run(agent.id, functools.partial(self._judge, agent, size))
        there = {agent.id for agent in alive}
        self._warned = {key: size for key, size in self._warned.items() if key in there}

    async def _judge(self, agent: Agent, size: int) -> None:
        warned_at = self._warned.get(agent.id, 0)
        if size < self._limit * _WARN_AT:
            self._warned.pop(agent.id, None)
        elif size < self._limit:
            if not warned_at:
                self._warned[agent.id] = size
                await self._warn(
                    agent,
                    f"The files of this agent take {_gib(size)} of {_gib(self._limit)}. Beyond "
                    "that it is interrupted; tell it to delete what it does not need.",
                )
        elif warned_at < self._limit or size > warned_at * _GROWN:
            self._warned[agent.id] = size
            await self._end_what_writes(agent, size)

    async def _end_what_writes(self, agent: Agent, size: int) -> None:
        """Ends the tool and its task; of an agent without a task, stops its container."""
        working = agent.status is AgentStatus.WORKING
        logger.warning("the files of %s take %d bytes", agent.id, size)
        try:
            if working:
                await self._interrupt(agent)
            else:
                await self._fleet.put_to_sleep(agent)
        except Exception as error:  # boundary: it is ended, whatever it answers
            known = isinstance(error, BotError)
            text = "%s is not interrupted, so it is stopped: %s"
            logger.warning(text, agent.id, error, exc_info=not known)
            await self._deps.runtime.stop(agent.id)
        done = "Its task was interrupted" if working else "Its container was stopped"
        await self._warn(
            agent,
            f"The files of this agent take {_gib(size)} of {_gib(self._limit)}. {done}. Reply to "
            "go on, and tell it to delete what it does not need; an admin may raise "
            "CONTAINER_DISK_BYTES.",
        )

    async def _interrupt(self, agent: Agent) -> None:
        address = await self._deps.bridge_of(agent.id)
        if address:
            await self._deps.bridge.interrupt(address, INTERRUPT_WAIT_SECONDS)

    async def _warn(self, agent: Agent, text: str) -> None:
        async with self._deps.store.transaction() as tx:
            current = await tx.agent(agent.id)
            if current is not None and current.alive:
                key = f"disk:{current.last_seq}:{self._warned[agent.id]}"
                await tx.enqueue(agent.id, self._deps.presenter.trouble(current, key, text))


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
