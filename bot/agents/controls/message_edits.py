"""Edits messages to an agent, and keeps how far each thread is read and which had their effect."""

import logging

from bot.agents.context import Dependencies
from bot.domain.agent import Agent, ThreadRef
from bot.errors import BotError, StoreUnavailable, UserError
from bridge.protocol import MAX_TASK_CHARS

logger = logging.getLogger(__name__)

WAITING_MARKS = ("received", "queued")
TOO_LONG = (
    f"The edited message is longer than {MAX_TASK_CHARS:,} characters; the agent keeps the "
    "earlier text. Shorten it and edit it again."
)


class MessageEdits:
    """Changes a message that still waits, or withdraws it. A message that a task has is kept."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def revise_message(self, thread: ThreadRef, ts: str, text: str | None) -> bool:
        """Gives a message that still waits another text, or withdraws it (None, or no words).

        False when it is not ours, or a task has it already: then nothing changes. Raises
        UserError for a text that is too long.
        """
        agent = await self._deps.store.agent_of_thread(thread)
        if agent is None:
            return False
        if text is not None and len(text) > MAX_TASK_CHARS:
            raise UserError(TOO_LONG)
        text = self._deps.hide(text) if text and text.strip() else None
        async with self._deps.store.transaction() as tx:
            stored = await tx.revise_message(agent.id, ts, text)
        # A message that is just being delivered may be on both sides.
        if not await self._revise_at_bridge(agent, ts, text) and not stored:
            return False
        if text is None:
            async with self._deps.store.transaction() as tx:
                for fate in WAITING_MARKS:
                    mark = self._deps.presenter.mark(agent, ts, fate, present=False)
                    await tx.enqueue(agent.id, mark)
        return True

    async def _revise_at_bridge(self, agent: Agent, ts: str, text: str | None) -> bool:
        if not agent.alive:
            return False
        try:
            address = await self._deps.bridge_of(agent.id)
            return address is not None and await self._deps.bridge.revise(address, ts, text)
        except BotError as error:
            logger.warning("message %s of %s was not revised: %s", ts, agent.id, error)
            return False


class HandledMessages:
    """For messages that do not become a stored message of the agent, such as "stop"."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def is_handled(self, agent: Agent, ts: str) -> bool:
        """Checks whether this message has had its effect already."""
        return await self._deps.store.is_claimed(agent.team, agent.channel, ts)

    async def ignore_message(self, agent: Agent, ts: str, client_msg_id: str | None = None) -> bool:
        """Claims a message that will have no effect; False when it was claimed already."""
        async with self._deps.store.transaction() as tx:
            await tx.note_read(agent.id, ts)
            return await tx.claim_message(agent.team, agent.channel, ts, client_msg_id)

    async def store_handled(self, agent: Agent, ts: str, client_msg_id: str | None = None) -> None:
        """Stores that the message has had its effect.

        Stored after the effect, since a stop cannot be part of a transaction: a crash between the
        two runs it again, and an agent that is stopped cannot be stopped twice.
        """
        try:
            async with self._deps.store.transaction() as tx:
                await tx.claim_message(agent.team, agent.channel, ts, client_msg_id)
                await tx.note_read(agent.id, ts)
        except StoreUnavailable as error:
            logger.warning("message %s of %s is not noted as read: %s", ts, agent.id, error)
