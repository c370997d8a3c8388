"""The agents that this process drives: launching, waking, cancelling, and what a failure means."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from bot.agents.explain import explain
from bot.agents.run import AgentRun, ContainerGone
from bot.agents.supervisor import Supervisor
from bot.agents.world import World
from bot.domain.agent import Agent, AgentStatus
from bot.errors import BotError

logger = logging.getLogger(__name__)


class Fleet:
    """One run per living agent. Rows and containers are brought together by `reconcile`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._supervisor = Supervisor(self._crashed)
        self._runs: dict[str, AgentRun] = {}
        self._held: set[str] = set()

    @contextmanager
    def hold(self, agent_id: str) -> Iterator[None]:
        """While one agent is being started or stopped, `reconcile` leaves it alone."""
        self._held.add(agent_id)
        try:
            yield
        finally:
            self._held.discard(agent_id)

    def held(self, agent_id: str) -> bool:
        """Whether the agent is being started or stopped just now."""
        return agent_id in self._held

    def launch(self, agent_id: str, run: AgentRun) -> None:
        """Drive an agent from now on."""
        self._supervisor.spawn(agent_id, run.run())
        self._runs[agent_id] = run

    def run_of(self, agent_id: str) -> AgentRun | None:
        """The run of this agent, if this process drives it."""
        return self._runs.get(agent_id)

    def wake(self, agent_id: str) -> None:
        """There is a message for this agent."""
        if run := self._runs.get(agent_id):
            run.wake()

    async def cancel(self, agent_id: str) -> None:
        """Drive it no more; its container is left as it is."""
        await self._supervisor.cancel(agent_id)
        self._runs.pop(agent_id, None)

    async def remove(self, agent_id: str) -> None:
        """Close the gateway to this agent and remove its container."""
        self._world.gateway.close(agent_id)
        try:
            await self._world.runtime.remove(agent_id)
        except BotError as error:
            # `reconcile` removes it as soon as the engine answers again.
            logger.warning("the container of %s is still there: %s", agent_id, error)

    async def reconcile(self) -> None:
        """Go on with what should run, remove what should not; may be called at any time.

        Raises EngineError when the engine does not answer: then nothing is known, and nothing
        is changed.
        """
        # A row is stored before its container is made, so containers are listed first.
        containers = await self._world.runtime.list()
        alive = {agent.id: agent for agent in await self._world.store.agents(alive=True)}
        for container in containers:
            if container.agent_id not in alive and not self.held(container.agent_id):
                logger.info("removing the container of %s, which is over", container.agent_id)
                await self.remove(container.agent_id)
        for agent in alive.values():
            if not self._supervisor.running(agent.id) and not self.held(agent.id):
                logger.info("going on with %s (%s)", agent.id, agent.status)
                self.launch(agent.id, AgentRun(self._world, agent))

    async def close(self) -> None:
        """Let go of the agents; their containers work on."""
        await self._supervisor.close()
        self._runs.clear()

    async def _crashed(self, agent_id: str, error: Exception) -> None:
        """A run ended by an error: say so in its thread, and leave no container behind."""
        run = self._runs.pop(agent_id, None)
        status = AgentStatus.LOST if isinstance(error, ContainerGone) else AgentStatus.FAILED
        async with self._world.store.transaction() as tx:
            agent: Agent | None = await tx.agent(agent_id)
            if agent is None or not agent.alive:
                return
            await tx.save_agent(agent.with_status(status, self._world.clock()))
            if run:
                await run.progress.close(tx, agent)
            text = explain(agent, error)
            await tx.enqueue(agent_id, self._world.voice.trouble(agent, "failed", text))
        await self.remove(agent_id)
