"""Reads the work that a stop could not read in time, from the files that were kept for it."""

import asyncio
import contextlib
import functools
import logging
from dataclasses import dataclass, replace

from bot.agents.agent_parts import AgentParts
from bot.agents.context import Dependencies
from bot.agents.deadlines import READ_WAIT_SECONDS
from bot.agents.lifecycle.boot import spec_of
from bot.agents.lifecycle.fleet import Fleet
from bot.agents.lifecycle.salvage import Patience, Salvaged, salvage
from bot.agents.ports.store import Transaction
from bot.domain.agent import Agent, Leftover
from bot.domain.container import BridgeAddress
from bot.domain.saved_state import SavedWork
from bot.errors import BotError, BridgeRefused, BridgeUnreachable, StoreUnavailable
from bridge.protocol import SessionStatus

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3_600.0
# A bridge that cannot say it so often never will: a new container can still go on with the files.
MOST_ATTEMPTS = 6
_PATIENCE = Patience(READ_WAIT_SECONDS, READ_WAIT_SECONDS, READ_WAIT_SECONDS)


@dataclass(frozen=True, slots=True)
class _Attempts:
    """Counts the failed readings of one agent's files, and sets when they are read again."""

    failed: int = 0
    again_at: float = 0.0

    def after_failure(self, now: float, *, counts: bool) -> "_Attempts":
        """Waits twice as long as the last time; an engine that is away does not count."""
        pause = min(FIRST_PAUSE_SECONDS * 2**self.failed, LONGEST_PAUSE_SECONDS)
        return _Attempts(self.failed + counts, now + pause)


class LateReading:
    """Starts a container on the kept files that begins no task, and removes it once it is read.

    One agent at a time: these containers have no place among those that run.
    """

    def __init__(self, deps: Dependencies, fleet: Fleet) -> None:
        self._deps = deps
        self._fleet = fleet
        self._parts = AgentParts(deps.store, deps.presenter, deps.clock, "read what it left")
        self._attempts: dict[str, _Attempts] = {}

    async def run(self) -> None:
        """Reads again and again, until cancelled."""
        while True:
            self._fleet.files_unread.clear()
            try:
                await self.read()
            except BotError as error:
                logger.warning("what stopped agents left is not read: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._deps.settings.reconcile_seconds):
                    await self._fleet.files_unread.wait()

    async def read(self) -> None:
        """Reads the files that are due, once; may be called at any time."""
        agents = await self._deps.store.unread()
        left = {agent.id for agent in agents}
        self._attempts = {key: tried for key, tried in self._attempts.items() if key in left}
        for agent in agents:
            tried = self._attempts.get(agent.id, _Attempts())
            if self._fleet.held(agent.id) or self._deps.clock() < tried.again_at:
                continue
            await self._parts.run(agent.id, functools.partial(self._read_one, agent, tried))

    async def _read_one(self, agent: Agent, tried: _Attempts) -> None:
        with self._fleet.hold(agent.id):
            await self._attempt(agent, tried)
        # A "restart" that came meanwhile launched nothing.
        stored = await self._deps.store.agent(agent.id)
        if stored and stored.alive:
            self._fleet.wake(stored)

    async def _attempt(self, agent: Agent, tried: _Attempts) -> None:
        counts = True
        try:
            read = await self._salvage(agent)
        except BotError as error:
            logger.warning("the files of %s are not read: %s", agent.id, error)
            counts = isinstance(error, BridgeUnreachable | BridgeRefused)
            read = Salvaged()
        except Exception:  # boundary: what one agent left must not be in the way of the others
            logger.exception("the files of %s cannot be read", agent.id)
            read = Salvaged()
        if read.leftover in {Leftover.PATCH, Leftover.CONVERSATION}:
            tried = tried.after_failure(self._deps.clock(), counts=counts)
            self._attempts[agent.id] = tried
        is_read = await self._store_or_park(agent, read, gives_up=tried.failed >= MOST_ATTEMPTS)
        await self._fleet.remove(agent.id, keep_files=not is_read)

    async def _store_or_park(self, agent: Agent, read: Salvaged, *, gives_up: bool) -> bool:
        """Stores what was read; what cannot be stored or shown stays in the files, for good."""
        try:
            return await self._store(agent, read, gives_up=gives_up)
        except StoreUnavailable:
            raise
        except Exception:  # boundary: as above
            logger.exception("what was read of %s cannot be shown", agent.id)
            return await self._store(agent, Salvaged(), gives_up=True)

    async def _salvage(self, agent: Agent) -> Salvaged:
        if not await self._deps.runtime.has_files(agent.id):
            logger.warning("the files of %s are gone", agent.id)
            return await self._as_kept(agent)
        # One that is still there is of the stop, and may be at work.
        await self._deps.runtime.remove(agent.id, keep_files=True)
        address = await self._boot(agent)
        status = await self._deps.bridge.status(address)
        if status.status is SessionStatus.EMPTY:
            return await self._as_kept(agent)
        return await salvage(self._deps, agent, address, _PATIENCE)

    async def _boot(self, agent: Agent) -> BridgeAddress:
        await self._deps.gateway.open(agent.id, agent.repo)
        spec = spec_of(self._deps, agent, holds_tasks=True)
        container = await self._deps.runtime.start(spec)
        if container.endpoint is None:
            raise BridgeUnreachable(f"the container of {agent.id} ended at once")
        address = self._deps.address(agent.id, container.endpoint)
        seconds = self._deps.settings.boot_timeout_seconds
        await self._deps.bridge.wait_ready(address, seconds)
        return address

    async def _as_kept(self, agent: Agent) -> Salvaged:
        """Returns the state that the host keeps, since no files are left."""
        kept = await self._deps.store.saved_state(agent.id)
        patch, conversation = (kept.patch, kept.conversation) if kept else (b"", b"")
        return Salvaged(None, patch, conversation, as_kept=True)

    async def _store(self, agent: Agent, read: Salvaged, *, gives_up: bool) -> bool:
        """Stores and shows the result; returns True when nothing else is in the files."""
        left = read.leftover
        if gives_up and left is not Leftover.NOTHING:
            left = Leftover.FILES
        async with self._deps.store.transaction() as tx:
            current = await tx.agent(agent.id)
            if current is None or current.alive or current.leftover is Leftover.NOTHING:
                return False
            state = read.state(current.last_seq, self._deps.clock())
            if state:
                await tx.save_state(agent.id, state)
            if left in {Leftover.NOTHING, Leftover.FILES}:
                await self._show(tx, current, replace(read.saved(), leftover=left))
                await tx.save_agent(replace(current, leftover=left))
        return left is Leftover.NOTHING

    async def _show(self, tx: Transaction, agent: Agent, saved: SavedWork) -> None:
        if agent.leftover is Leftover.CONVERSATION:
            # The thread has the patch already.
            if saved.leftover is Leftover.NOTHING:
                return
            saved = SavedWork(None, b"", leftover=saved.leftover)
        await tx.enqueue(agent.id, self._deps.presenter.salvaged(agent, saved))
        if saved.patch and saved.fits:
            key = f"salvaged:{agent.last_seq}"
            await tx.enqueue(agent.id, self._deps.presenter.patch(agent, key, saved.patch))
