"""How far each agent's thread is read, and which of its messages have had their effect."""

import logging

from bot.agents.context import Dependencies
from bot.domain.agent import Agent
from bot.errors import StoreUnavailable

logger = logging.getLogger(__name__)


class HandledMessages:
    """For messages that do not become a stored message of the agent, such as "stop"."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def done(self, agent: Agent, ts: str) -> bool:
        """Whether this message has had its effect already."""
        return await self._deps.store.is_claimed(agent.team, agent.channel, ts)

    async def take(self, agent: Agent, ts: str, client_msg_id: str | None = None) -> bool:
        """Take a message that will have no effect; False when it was taken already."""
        async with self._deps.store.transaction() as tx:
            await tx.note_read(agent.id, ts)
            return await tx.claim_message(agent.team, agent.channel, ts, client_msg_id)

    async def note(self, agent: Agent, ts: str, client_msg_id: str | None = None) -> None:
        """The message has had its effect.

        Noted after the effect, since a stop cannot be part of a transaction: a crash between the
        two runs it again, and an agent that is stopped cannot be stopped twice.
        """
        try:
            async with self._deps.store.transaction() as tx:
                await tx.claim_message(agent.team, agent.channel, ts, client_msg_id)
                await tx.note_read(agent.id, ts)
        except StoreUnavailable as error:
            logger.warning("message %s of %s is not noted as read: %s", ts, agent.id, error)
