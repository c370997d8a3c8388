"""Drives the agents of this process: launches and wakes them, puts them to sleep, ends them."""

import asyncio
import functools
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from bot.agents.agent_parts import AgentParts
from bot.agents.context import Dependencies
from bot.agents.lifecycle.capacity import Capacity
from bot.agents.lifecycle.failures import AGAIN, explain, explain_loss, lost_files
from bot.agents.lifecycle.run import AgentRun
from bot.agents.lifecycle.supervisor import Supervisor
from bot.domain.agent import Agent, AgentStatus
from bot.errors import (
    BotError,
    ContainerGone,
    StoreUnavailable,
    UserError,
)
from bridge.protocol import FilesChanged

logger = logging.getLogger(__name__)

# While others wait for a place, an idle agent leaves its own sooner.
SLEEP_AFTER_WHEN_FULL_SECONDS = 60.0

_UNTOLD = "Something of this agent cannot be read, so it was ended; the log has it under `{}`. "


class Fleet:
    """Keeps one run per agent that is awake. `reconcile` brings rows and containers together."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps
        self._supervisor = Supervisor(self._crashed)
        self._runs: dict[str, AgentRun] = {}
        self._held: Counter[str] = Counter()
        self._parts = AgentParts(deps.store, deps.presenter, deps.clock, "go on with it")
        self.capacity = Capacity(deps)
        self.place_freed = asyncio.Event()
        self.files_unread = asyncio.Event()

    @contextmanager
    def hold(self, agent_id: str) -> Iterator[None]:
        """Keeps everything else from launching or removing an agent that is started or stopped."""
        self._held[agent_id] += 1
        try:
            yield
        finally:
            self._held[agent_id] -= 1
            if not self._held[agent_id]:
                del self._held[agent_id]

    def held(self, agent_id: str) -> bool:
        """Checks whether it is just being started, stopped or removed."""
        return agent_id in self._held

    def launch(self, agent: Agent) -> None:
        """Drives an agent from now on."""
        run = AgentRun(self._deps, agent)
        self._supervisor.spawn(agent.id, run.run())
        self._runs[agent.id] = run

    def run_of(self, agent_id: str) -> AgentRun | None:
        """Returns the run of this agent, if this process drives it."""
        return self._runs.get(agent_id) if self._supervisor.running(agent_id) else None

    def wake(self, agent: Agent) -> None:
        """Wakes an agent for a new message, if it has a place.

        One that is just being ended is left to `reconcile`: its old container goes first.
        """
        if run := self.run_of(agent.id):
            run.wake()
        elif agent.alive and agent.placed and not self._busy(agent.id):
            self.launch(agent)

    async def admit(self) -> None:
        """Launches those who wait for a place, as far as places are free."""
        for agent in await self.capacity.admit_waiting():
            logger.info("%s has a place now", agent.id)
            await self._parts.run(agent.id, functools.partial(self._wake_admitted, agent))

    async def _wake_admitted(self, agent: Agent) -> None:
        self.wake(agent)

    async def admit_for_ever(self) -> None:
        """Admits whenever `place_freed` is set, until cancelled."""
        while True:
            await self.place_freed.wait()
            self.place_freed.clear()
            try:
                await self.admit()
            except BotError as error:
                # `reconcile` admits too.
                logger.warning("nobody is admitted now: %s", error)

    def _busy(self, agent_id: str) -> bool:
        return agent_id in self._held or self._supervisor.running(agent_id)

    async def cancel(self, agent_id: str) -> None:
        """Ends its run; its container is left as it is."""
        await self._supervisor.cancel(agent_id)
        self._runs.pop(agent_id, None)

    async def remove(self, agent_id: str, *, keep_files: bool = False) -> None:
        """Closes the gateway to this agent and removes its container."""
        try:
            await self._deps.gateway.close(agent_id)
        except Exception:  # boundary: the container shares a folder with it, and goes first of all
            logger.exception("the gateway's sockets of %s are not closed", agent_id)
        try:
            await self._deps.runtime.remove(agent_id, keep_files=keep_files)
        except BotError as error:
            # `reconcile` removes it as soon as the engine answers again.
            logger.warning("the container of %s is still there: %s", agent_id, error)

    async def reconcile(self) -> None:
        """Drives what should run, removes what should not; may be called at any time.

        Raises EngineError when the engine does not answer: then nothing is known, and nothing
        is changed.
        """
        # A row is stored before its container is made, so containers are listed first.
        containers = await self._deps.runtime.list()
        alive = {agent.id: agent for agent in await self._deps.store.agents(alive=True)}
        for container in containers:
            if container.agent_id not in alive and container.agent_id not in self._held:
                logger.info("removing the container of %s, which is over", container.agent_id)
                removal = functools.partial(self.remove, container.agent_id, keep_files=True)
                await self._parts.run(container.agent_id, removal)
        there = {container.agent_id for container in containers}
        for agent in alive.values():
            if not self._busy(agent.id):
                is_there = agent.id in there
                going_on = functools.partial(self._go_on, agent, is_there=is_there)
                await self._parts.run(agent.id, going_on)
        if any(agent.waiting for agent in alive.values()):
            await self.admit()

    async def _go_on(self, agent: Agent, *, is_there: bool) -> None:
        # One whose container was removed in its sleep has to say so in its thread.
        asleep = agent.status is AgentStatus.SLEEPING and is_there
        if not asleep or await self._deps.store.undelivered(agent.id):
            logger.info("going on with %s (%s)", agent.id, agent.status)
            await self._drive(agent)

    async def sleep_idle_agents(self) -> None:
        """Puts agents to sleep that have been idle for long; a reply wakes them."""
        agents = await self._deps.store.agents(alive=True)
        seconds = self._deps.settings.sleep_after_seconds
        if any(agent.waiting for agent in agents):
            seconds = min(seconds, SLEEP_AFTER_WHEN_FULL_SECONDS)
        limit = self._deps.clock() - seconds
        for agent in agents:
            idle = agent.status is AgentStatus.IDLE and agent.status_since < limit
            if idle and agent.id not in self._held:
                await self._parts.run(agent.id, functools.partial(self.put_to_sleep, agent))

    async def put_to_sleep(self, agent: Agent) -> None:
        """Stops the container of an idle agent; one that has something to do stays awake."""
        with self.hold(agent.id):
            await self._put_to_sleep(agent)
        # A reply that came meanwhile found nobody to wake.
        if await self._deps.store.undelivered(agent.id):
            stored = await self._deps.store.agent(agent.id)
            if stored:
                await self._drive(stored)

    async def _put_to_sleep(self, agent: Agent) -> None:
        if await self._deps.store.undelivered(agent.id):
            return
        logger.info("%s goes to sleep", agent.id)
        await self.cancel(agent.id)
        async with self._deps.store.transaction() as tx:
            current = await tx.agent(agent.id)
            if current is None or current.status is not AgentStatus.IDLE:
                return
            await tx.save_agent(current.with_status(AgentStatus.SLEEPING, self._deps.clock()))
        try:
            await self._deps.runtime.stop(agent.id)
        except BotError as error:
            logger.warning("the container of %s does not sleep: %s", agent.id, error)

    async def _drive(self, agent: Agent) -> None:
        """Launches or wakes an agent that should run, once it has a place."""
        if not agent.placed:
            waiting = await self._deps.store.undelivered(agent.id)
            async with self._deps.store.transaction() as tx:
                current = await tx.agent(agent.id)
                if current is None or not current.alive:
                    return
                task_id = next((message.task_id for message in waiting if message.begins_task), "")
                agent = await self.capacity.claim_place(tx, current, task_id)
        self.wake(agent)

    async def close(self) -> None:
        """Ends all runs; their containers work on."""
        await self._supervisor.close()
        self._runs.clear()

    async def _crashed(self, agent_id: str, error: Exception) -> None:
        """Reports in the thread that a run ended by an error, and removes its container."""
        run = self._runs.pop(agent_id, None)
        if isinstance(error, StoreUnavailable):
            return  # It works on in its container; `reconcile` follows it again.
        try:
            reason = await self._explain_end(agent_id, error)
            agent = await self._store_end(agent_id, error, reason, run)
        except StoreUnavailable:
            raise
        except Exception:  # boundary: what it holds must not keep it from being ended
            logger.exception("the end of %s cannot be shown as it is", agent_id)
            agent = await self._store_end(agent_id, error, _UNTOLD.format(agent_id) + AGAIN, None)
        if agent is not None:
            # An agent that never had a workspace has nothing to keep.
            await self.remove(agent_id, keep_files=agent.base_commit is not None)

    async def _store_end(
        self, agent_id: str, error: Exception, reason: str, run: AgentRun | None
    ) -> Agent | None:
        """Stores and tells that a run ended by an error; None when the agent was over already."""
        lost = isinstance(error, ContainerGone)
        async with self._deps.store.transaction() as tx:
            agent = await tx.agent(agent_id)
            if agent is None or not agent.alive:
                return None
            status = AgentStatus.LOST if lost else AgentStatus.FAILED
            await tx.save_agent(agent.with_status(status, self._deps.clock()))
            if run:
                await run.progress.close_card(tx, agent)
            key = f"ended:{agent.last_seq}:{int(agent.status_since)}"
            await tx.enqueue(agent_id, self._deps.presenter.trouble(agent, key, reason))
        return agent

    async def _explain_end(self, agent_id: str, error: Exception) -> str:
        agent = await self._deps.store.agent(agent_id)
        if agent is None:
            return str(error)
        if not isinstance(error, ContainerGone):
            return explain(agent, error)
        changed = await self._deps.store.newest_event(agent_id, FilesChanged)
        saved = await self._deps.store.saved_state(agent_id)
        try:
            has_files = await self._deps.runtime.has_files(agent_id)
        except UserError:
            has_files = False
        return explain_loss(has_files=has_files, lost=lost_files(changed, saved))
