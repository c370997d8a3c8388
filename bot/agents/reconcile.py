"""Compares agents and containers at start, at intervals and when a container ended; removes files
of agents that are over.
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Mapping

from bot.agents.agent_parts import AgentParts
from bot.agents.context import Dependencies
from bot.agents.disk_watch import DiskWatch
from bot.agents.lifecycle.background_loops import Loop
from bot.agents.lifecycle.fleet import Fleet
from bot.agents.lifecycle.late_reading import LateReading
from bot.agents.service import AgentService
from bot.domain.agent import Agent, AgentStatus, Leftover
from bot.errors import BotError

logger = logging.getLogger(__name__)

REOPEN_SECONDS = 5.0
DAY_SECONDS = 86_400.0


class Reconciler:
    """Compares at an interval; an event of the engine only brings the next comparison forward."""

    def __init__(self, deps: Dependencies, service: AgentService, fleet: Fleet) -> None:
        self._deps = deps
        self._service = service
        self._fleet = fleet
        self._leftovers = Leftovers(deps, fleet)
        self._late = LateReading(deps, fleet)
        self._disk = DiskWatch(deps, fleet)
        self._container_ended = asyncio.Event()

    def loops(self) -> Mapping[str, Loop]:
        """Returns the loops that run as long as the bot, by name."""
        return {
            "reconciliation": self._compare,
            "engine events": self._listen,
            "disk watch": self._disk.run,
            "late reading": self._late.run,
        }

    async def _compare(self) -> None:
        while True:
            self._container_ended.clear()
            try:
                await self._service.stopper.store_late_stops()
                await self._fleet.reconcile()
                await self._fleet.sleep_idle_agents()
                await self._leftovers.remove_files()
            except BotError as error:
                logger.warning("cannot compare agents and containers: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._deps.settings.reconcile_seconds):
                    await self._container_ended.wait()

    async def _listen(self) -> None:
        while True:
            try:
                async with contextlib.aclosing(self._deps.runtime.watch()) as ended:
                    async for agent_id in ended:
                        logger.debug("the engine says that the container of %s ended", agent_id)
                        self._container_ended.set()
            except BotError as error:
                logger.warning("the engine's events cannot be read: %s", error)
            # The engine does not repeat what ended while nobody listened.
            self._container_ended.set()
            await asyncio.sleep(REOPEN_SECONDS)


class Leftovers:
    """Removes the files of agents that are over: those that a stop leaves behind, and old ones.

    The files of lost and failed agents, and of a stopped one that a stop could not read, are kept
    for a "restart" for some days.
    """

    def __init__(self, deps: Dependencies, fleet: Fleet) -> None:
        self._deps = deps
        self._fleet = fleet
        self._parts = AgentParts(deps.store, deps.presenter, deps.clock, "remove its files")

    async def remove_files(self) -> None:
        """Removes the files that no restart needs; may be called at any time.

        Raises EngineError when the engine does not answer.
        """
        # A row is stored before its container is made, so files are listed first.
        files = await self._deps.runtime.files()
        alive = {agent.id for agent in await self._deps.store.agents(alive=True)}
        for agent_id, made_at in files.items():
            if agent_id not in alive and not self._fleet.held(agent_id):
                await self._parts.run(agent_id, functools.partial(self._tidy, agent_id, made_at))

    async def _tidy(self, agent_id: str, made_at: float) -> None:
        with self._fleet.hold(agent_id):
            await self._remove(agent_id, made_at)
        # A "restart" that came meanwhile launched nothing.
        agent = await self._deps.store.agent(agent_id)
        if agent and agent.alive:
            self._fleet.wake(agent)

    async def _remove(self, agent_id: str, made_at: float) -> None:
        agent = await self._deps.store.agent(agent_id)
        if agent and (agent.alive or not self._is_removable(agent)):
            return
        # Files without a row: the database may be an older copy than they are.
        if agent is None and not self._is_old(made_at):
            return
        logger.info("removing the files of %s", agent_id)
        await self._fleet.remove(agent_id)

    def _is_removable(self, agent: Agent) -> bool:
        """Checks whether its end removes its files; the bot may have died in the middle of that."""
        stopped = agent.status is AgentStatus.STOPPED and agent.leftover is Leftover.NOTHING
        removed_at_its_end = stopped or agent.base_commit is None
        return removed_at_its_end or self._is_old(agent.status_since)

    def _is_old(self, since: float) -> bool:
        kept_for = self._deps.settings.retention_days * DAY_SECONDS
        return since < self._deps.clock() - kept_for
