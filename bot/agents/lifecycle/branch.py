"""Puts an agent's commits on its own branch at the git host, through the gateway."""

import asyncio
import logging

from bot.agents.context import Dependencies
from bot.domain.agent import Agent
from bot.domain.container import BridgeAddress
from bot.errors import BotError
from bridge.protocol import PushRequest

logger = logging.getLogger(__name__)

# The events of the next task wait meanwhile; a push that takes longer goes on in the container.
PUSH_SECONDS = 20.0
NOT_PUSHED = (
    "The agent's commits could not be pushed to its branch: the git host refuses them, or others "
    "have moved the branch. They are kept here, and in the patch."
)


class BranchPusher:
    """Pushes after a task and before the end; a failure is no error, since the patch is kept."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def push(
        self, agent: Agent, address: BridgeAddress, seconds: float = PUSH_SECONDS
    ) -> bool:
        """Pushes the branch; returns whether the host now has commits of the agent."""
        if not agent.repo.exists or not await self._deps.gateway.may_push(agent.repo):
            return False
        access = self._deps.gateway.access(agent.id, agent.repo)
        try:
            async with asyncio.timeout(seconds):
                request = PushRequest(clone_url=access.clone_url)
                pushed = await self._deps.bridge.push_branch(address, request)
        except (BotError, TimeoutError) as error:
            # A container of an older image has no such route.
            logger.info("the branch of %s was not pushed: %s", agent.id, error)
            return False
        if pushed.refusal:
            logger.warning("the branch of %s was not pushed: %s", agent.id, pushed.refusal)
            await self._report_refusal(agent)
        return pushed.commit is not None

    async def _report_refusal(self, agent: Agent) -> None:
        """Says it once in the life of an agent: most reasons stay."""
        async with self._deps.store.transaction() as tx:
            await tx.enqueue(
                agent.id, self._deps.presenter.notice(agent, "push", f"⚠ {NOT_PUSHED}")
            )
