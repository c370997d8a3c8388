"""Stops an agent: kills its tools, keeps its state on the host, removes its container, says so."""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace

from bot.agents import deadlines
from bot.agents.agent_parts import AgentParts
from bot.agents.context import Dependencies
from bot.agents.lifecycle.branch import BranchPusher
from bot.agents.lifecycle.fleet import Fleet
from bot.agents.lifecycle.run import AgentRun
from bot.agents.lifecycle.salvage import (
    Patience,
    salvage,
)
from bot.domain.agent import Agent, AgentStatus, Leftover
from bot.domain.container import BridgeAddress
from bot.domain.saved_state import (
    SavedState,
    SavedWork,
    fits_thread,
)
from bot.errors import BotError, StoreUnavailable, UserError

logger = logging.getLogger(__name__)

STOPPED_UNSTORED = (
    "The agent is stopped and its container is removed; its files are kept. The thread will say "
    "so later: the bot's database takes nothing now."
)


class Stopper:
    """Stops agents. A stop waits behind no task; a second stop of the same agent does nothing."""

    def __init__(self, deps: Dependencies, fleet: Fleet) -> None:
        self._deps = deps
        self._fleet = fleet
        self._parts = AgentParts(
            deps.store, deps.presenter, deps.clock, "store that it is stopped", never_parked=True
        )
        self._branch = BranchPusher(deps)
        self._stopping: dict[str, asyncio.Event] = {}
        # Stops that are done and not stored; the fleet leaves these agents alone meanwhile.
        self._unstored: dict[str, tuple[Callable[[], Awaitable[SavedWork]], ExitStack]] = {}

    def is_stopping(self, agent_id: str) -> bool:
        """Checks whether this agent is being stopped just now."""
        return agent_id in self._stopping or agent_id in self._unstored

    async def stop(self, agent: Agent, actor: str) -> None:
        """Stops this agent; `actor` is the user who asked for it, "" for no user.

        Raises UserError when it is stopped and the database could not take it down.
        """
        if under_way := self._stopping.get(agent.id):
            # A stop message is stored as handled only after the stop: the process may die before.
            await under_way.wait()
        if self.is_stopping(agent.id) or under_way:
            return
        ended = self._stopping[agent.id] = asyncio.Event()
        try:
            with self._fleet.hold(agent.id):
                await self._stop(agent, actor)
        finally:
            del self._stopping[agent.id]
            ended.set()

    async def _stop(self, agent: Agent, actor: str) -> None:
        run = self._fleet.run_of(agent.id)
        if run:
            run.progress.hide_interruption()
        saved, state = await self._halt(agent)
        await self._fleet.cancel(agent.id)
        store = functools.partial(self._store_or_bare, agent, actor, run, saved, state)
        try:
            saved = await store()
        except StoreUnavailable as error:
            logger.warning("%s is stopped, which is stored later: %s", agent.id, error)
            held = ExitStack()
            held.enter_context(self._fleet.hold(agent.id))
            self._unstored[agent.id] = (store, held)
            await self._fleet.remove(agent.id, keep_files=True)
            raise UserError(STOPPED_UNSTORED, str(error)) from error
        await self._remove(agent.id, saved)

    async def _remove(self, agent_id: str, saved: SavedWork) -> None:
        """Removes the container, and its files unless something in them is still to be read."""
        await self._fleet.remove(agent_id, keep_files=saved.leftover is not Leftover.NOTHING)
        if saved.leftover is not Leftover.NOTHING:
            self._fleet.files_unread.set()

    async def store_late_stops(self) -> None:
        """Stores the stops that the database refused before; raises StoreUnavailable."""
        for agent_id in list(self._unstored):
            await self._parts.run(agent_id, functools.partial(self._store_late_stop, agent_id))

    async def _store_late_stop(self, agent_id: str) -> None:
        store, held = self._unstored[agent_id]
        saved = await store()
        del self._unstored[agent_id]
        held.close()
        await self._remove(agent_id, saved)

    async def _store_or_bare(
        self,
        agent: Agent,
        actor: str,
        run: AgentRun | None,
        saved: SavedWork,
        state: SavedState | None,
    ) -> SavedWork:
        """Stores the stop; without card and changes when these cannot be shown or stored.

        Returns the work that the thread was told of. Raises StoreUnavailable.
        """
        try:
            await self._store(agent, actor, run, saved, state)
        except StoreUnavailable:
            raise
        except Exception:  # boundary: what an agent holds must not keep it from being stopped
            logger.exception("what %s leaves cannot be shown; it is stopped without", agent.id)
            saved = SavedWork(None, b"", leftover=Leftover.FILES)
            await self._store(agent, actor, None, saved, None)
        return saved

    async def _store(
        self,
        agent: Agent,
        actor: str,
        run: AgentRun | None,
        saved: SavedWork,
        state: SavedState | None,
    ) -> None:
        async with self._deps.store.transaction() as tx:
            current = await tx.agent(agent.id) or agent
            stopped = current.with_status(AgentStatus.STOPPED, self._deps.clock())
            await tx.save_agent(replace(stopped, leftover=saved.leftover))
            if state:
                await tx.save_state(agent.id, state)
            if run:
                await run.progress.close_card(tx, current)
            else:
                await self._fleet.capacity.clear_notice(tx, current)
            seconds = self._deps.clock() - agent.created_at
            shown = replace(saved, card=run.progress.card) if run else saved
            await tx.enqueue(agent.id, self._deps.presenter.stopped(current, actor, seconds, shown))
            if saved.patch and saved.fits:
                # Each stop has a file of its own: the agent may be restarted and stopped again.
                key = f"stopped:{current.last_seq}"
                await tx.enqueue(agent.id, self._deps.presenter.patch(current, key, saved.patch))

    async def _halt(self, agent: Agent) -> tuple[SavedWork, SavedState | None]:
        """Stops the tools, then reads the work to save; it does not wait for a silent bridge."""
        is_running = True
        try:
            address = await self._deps.bridge_of(agent.id)
            is_running = address is not None
            if address is not None:
                await self._interrupt(address)
                return await self._read(agent, address)
        except (BotError, TimeoutError) as error:
            logger.warning("stopping %s without its newest changes: %s", agent.id, error)
        except Exception:  # boundary: a stop needs no consent of what it stops
            logger.exception("stopping %s without its newest changes", agent.id)
        kept = await self._kept(agent)
        is_newest = not is_running and kept is not None and kept.last_seq >= agent.last_seq
        left = Leftover.NOTHING if is_newest or agent.base_commit is None else Leftover.PATCH
        return _with_kept(SavedWork(None, b"", leftover=left), kept), None

    async def _interrupt(self, address: BridgeAddress) -> None:
        """Ends the tools; gives up on a bridge that shows no sign of life meanwhile."""
        bridge = self._deps.bridge
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(bridge.interrupt(address, deadlines.INTERRUPT_WAIT_SECONDS))
                group.create_task(bridge.wait_ready(address, deadlines.PULSE_SECONDS))
        except ExceptionGroup as group_error:
            raise group_error.exceptions[0] from group_error

    async def _read(
        self, agent: Agent, address: BridgeAddress
    ) -> tuple[SavedWork, SavedState | None]:
        patience = Patience(
            deadlines.STOP_DIFF_SECONDS,
            deadlines.STOP_PATCH_SECONDS,
            deadlines.STOP_EXPORT_SECONDS,
        )
        async with asyncio.TaskGroup() as group:
            pushing = group.create_task(self._push(agent, address))
            reading = group.create_task(salvage(self._deps, agent, address, patience))
        read = reading.result()
        saved = replace(read.saved(), pushed=pushing.result())
        if agent.base_commit is None:
            saved = replace(saved, leftover=Leftover.NOTHING)
        if read.patch is None:
            saved = _with_kept(saved, await self._kept(agent))
        return saved, read.state(agent.last_seq, self._deps.clock())

    async def _kept(self, agent: Agent) -> SavedState | None:
        """Returns the state of the end of the last task; None also when it cannot be read now."""
        try:
            return await self._deps.store.saved_state(agent.id)
        except StoreUnavailable as error:
            logger.warning("the kept state of %s is not read: %s", agent.id, error)
            return None

    async def _push(self, agent: Agent, address: BridgeAddress) -> bool:
        try:
            return await self._branch.push(agent, address, deadlines.STOP_PUSH_SECONDS)
        except StoreUnavailable as error:
            logger.warning("the push of %s is not reported: %s", agent.id, error)
        except Exception:  # boundary: as for the parts that are read
            logger.exception("the branch of %s cannot be pushed", agent.id)
        return False


def _with_kept(saved: SavedWork, kept: SavedState | None) -> SavedWork:
    """Puts the patch of the end of the last task in place of the newest one."""
    patch = kept.patch if kept else b""
    return replace(saved, patch=patch, newest=False, fits=fits_thread(patch))
