"""Removes what is left of agents that are over: what a stop promised to remove, and old files."""

import logging

from bot.agents.context import Dependencies
from bot.agents.lifecycle.fleet import Fleet
from bot.domain.agent import Agent, AgentStatus, Leftover

logger = logging.getLogger(__name__)

DAY_SECONDS = 86_400.0


class Leftovers:
    """The files of lost and failed agents are kept for a "restart", though not for ever.

    So are those of a stopped one that a stop could not read.
    """

    def __init__(self, deps: Dependencies, fleet: Fleet) -> None:
        self._deps = deps
        self._fleet = fleet

    async def remove(self) -> None:
        """Remove the files that nobody is to come back to; may be called at any time.

        Raises EngineError when the engine does not answer.
        """
        # A row is stored before its container is made, so files are listed first.
        files = await self._deps.runtime.files()
        alive = {agent.id for agent in await self._deps.store.agents(alive=True)}
        for agent_id, made_at in files.items():
            if agent_id not in alive and not self._fleet.held(agent_id):
                with self._fleet.hold(agent_id):
                    await self._remove(agent_id, made_at)
                # A "restart" that came meanwhile launched nothing.
                agent = await self._deps.store.agent(agent_id)
                if agent and agent.alive:
                    self._fleet.wake(agent)

    async def _remove(self, agent_id: str, made_at: float) -> None:
        agent = await self._deps.store.agent(agent_id)
        if agent and (agent.alive or not self._of_no_use(agent)):
            return
        # Files without a row: the database may be an older copy than they are.
        if agent is None and not self._is_old(made_at):
            return
        logger.info("removing the files of %s", agent_id)
        await self._fleet.remove(agent_id)

    def _of_no_use(self, agent: Agent) -> bool:
        """What its end promised to remove is removed, though the bot died in the middle of it."""
        stopped = agent.status is AgentStatus.STOPPED and agent.leftover is Leftover.NOTHING
        removed_at_its_end = stopped or agent.base_commit is None
        return removed_at_its_end or self._is_old(agent.status_since)

    def _is_old(self, since: float) -> bool:
        kept_for = self._deps.settings.retention_days * DAY_SECONDS
        return since < self._deps.clock() - kept_for
