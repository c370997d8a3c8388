"""Stops an agent: kills its tools, keeps its state on the host, removes its container, says so."""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace

from bot.agents.branch import Branch
from bot.agents.fleet import Fleet
from bot.agents.ports import BridgeAddress, Saved, SavedState
from bot.agents.run import AgentRun
from bot.agents.world import World
from bot.domain.agent import Agent, AgentStatus
from bot.errors import BotError, StoreUnavailable, UserError

logger = logging.getLogger(__name__)

INTERRUPT_SECONDS = 3.0
SAVE_SECONDS = 5.0
MAX_FILED_PATCH_BYTES = 20_000_000
STOPPED_UNSTORED = (
    "The agent is stopped and its container is removed; its files are kept. The thread will say "
    "so later: the bot's database takes nothing now."
)


class Stopper:
    """Never waits behind a task; a second stop of the same agent does nothing."""

    def __init__(self, world: World, fleet: Fleet) -> None:
        self._world = world
        self._fleet = fleet
        self._branch = Branch(world)
        self._stopping: dict[str, asyncio.Event] = {}
        # Stops that are done and not stored; the fleet leaves these agents alone meanwhile.
        self._unstored: dict[str, tuple[Callable[[], Awaitable[None]], ExitStack]] = {}

    def stopping(self, agent_id: str) -> bool:
        """Whether this agent is being stopped just now."""
        return agent_id in self._stopping or agent_id in self._unstored

    async def stop(self, agent: Agent, actor: str) -> None:
        """Stop this agent; `actor` is the user who asked for it, "" for no user.

        Raises UserError when it is stopped and the database could not take it down.
        """
        if under_way := self._stopping.get(agent.id):
            # Its word may be noted as obeyed only when it is: the process may die before that.
            await under_way.wait()
        if self.stopping(agent.id) or under_way:
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
            run.progress.silence()
        saved, state = await self._halt(agent)
        await self._fleet.cancel(agent.id)
        store = functools.partial(self._store, agent, actor, run, saved, state)
        try:
            await store()
        except StoreUnavailable as error:
            logger.warning("%s is stopped, which is stored later: %s", agent.id, error)
            held = ExitStack()
            held.enter_context(self._fleet.hold(agent.id))
            self._unstored[agent.id] = (store, held)
            await self._fleet.remove(agent.id, keep_files=True)
            raise UserError(STOPPED_UNSTORED, str(error)) from error
        await self._fleet.remove(agent.id)

    async def settle(self) -> None:
        """Store the stops that could not be stored when they were done; raises StoreUnavailable."""
        for agent_id, (store, held) in list(self._unstored.items()):
            await store()
            del self._unstored[agent_id]
            held.close()
            await self._fleet.remove(agent_id)

    async def _store(
        self,
        agent: Agent,
        actor: str,
        run: AgentRun | None,
        saved: Saved,
        state: SavedState | None,
    ) -> None:
        async with self._world.store.transaction() as tx:
            current = await tx.agent(agent.id) or agent
            await tx.save_agent(current.with_status(AgentStatus.STOPPED, self._world.clock()))
            if state:
                await tx.save_state(agent.id, state)
            if run:
                await run.progress.close(tx, current)
            else:
                await self._fleet.places.close(tx, current)
            seconds = self._world.clock() - agent.created_at
            said = replace(saved, card=run.progress.card) if run else saved
            await tx.enqueue(agent.id, self._world.voice.stopped(current, actor, seconds, said))
            if saved.patch and len(saved.patch) <= MAX_FILED_PATCH_BYTES:
                # Each stop has a file of its own: the agent may be restarted and stopped again.
                key = f"stopped:{current.last_seq}"
                await tx.enqueue(agent.id, self._world.voice.patch(current, key, saved.patch))

    async def _halt(self, agent: Agent) -> tuple[Saved, SavedState | None]:
        """Stop the tools, then read what there is to save; silence is no reason to wait."""
        try:
            address = await self._address(agent)
            if address is not None:
                await self._world.bridge.interrupt(address, INTERRUPT_SECONDS)
                async with asyncio.timeout(SAVE_SECONDS):
                    saved, state = await self._read(agent, address)
                pushed = await self._branch.push(agent, address, SAVE_SECONDS)
                return replace(saved, pushed=pushed), state
        except (BotError, TimeoutError) as error:
            logger.warning("stopping %s without its newest changes: %s", agent.id, error)
        kept = await self._world.store.saved_state(agent.id)
        return Saved(None, kept.patch if kept else b""), None

    async def _read(self, agent: Agent, address: BridgeAddress) -> tuple[Saved, SavedState]:
        diff = await self._world.bridge.diff(address)
        patch = await self._world.bridge.patch(address) if diff.files else b""
        conversation = await self._world.bridge.export(address)
        state = SavedState(conversation, patch, agent.last_seq, self._world.clock())
        return Saved(diff, patch), state

    async def _address(self, agent: Agent) -> BridgeAddress | None:
        container = await self._world.runtime.find(agent.id)
        if container is None or container.endpoint is None:
            return None
        return self._world.address(agent.id, container.endpoint)
