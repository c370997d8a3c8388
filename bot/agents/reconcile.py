"""When agents and containers are compared: at start, at intervals, and when a container ended."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping

from bot.agents.context import Dependencies
from bot.agents.disk_watch import DiskWatch
from bot.agents.leftovers import Leftovers
from bot.agents.lifecycle.background_loops import Loop
from bot.agents.lifecycle.fleet import Fleet
from bot.agents.lifecycle.late_reading import LateReading
from bot.agents.service import AgentService
from bot.errors import BotError

logger = logging.getLogger(__name__)

REOPEN_SECONDS = 5.0


class Reconciler:
    """The interval is what can be relied on; the engine's word that something ended is a hint."""

    def __init__(self, deps: Dependencies, service: AgentService, fleet: Fleet) -> None:
        self._deps = deps
        self._service = service
        self._fleet = fleet
        self._leftovers = Leftovers(deps, fleet)
        self._late = LateReading(deps, fleet)
        self._disk = DiskWatch(deps, fleet)
        self._hint = asyncio.Event()

    def loops(self) -> Mapping[str, Loop]:
        """What runs as long as the bot, by name."""
        return {
            "reconciliation": self._compare,
            "engine events": self._listen,
            "disk watch": self._disk.run,
            "late reading": self._late.run,
        }

    async def _compare(self) -> None:
        while True:
            self._hint.clear()
            try:
                await self._service.settle()
                await self._fleet.reconcile()
                await self._fleet.rest()
                await self._leftovers.remove()
            except BotError as error:
                logger.warning("cannot compare agents and containers: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._deps.settings.reconcile_seconds):
                    await self._hint.wait()

    async def _listen(self) -> None:
        while True:
            try:
                async with contextlib.aclosing(self._deps.runtime.watch()) as ended:
                    async for agent_id in ended:
                        logger.debug("the engine says that the container of %s ended", agent_id)
                        self._hint.set()
            except BotError as error:
                logger.warning("the engine's events are not heard: %s", error)
            # Whatever ended meanwhile was not told.
            self._hint.set()
            await asyncio.sleep(REOPEN_SECONDS)
