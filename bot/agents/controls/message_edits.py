"""A person edits or deletes a message to an agent: it counts while no task has taken it up."""

import logging

from bot.agents.context import Dependencies
from bot.domain.agent import Agent, ThreadRef
from bot.errors import BotError, UserError
from bridge.protocol import MAX_TASK_CHARS

logger = logging.getLogger(__name__)

WAITING_MARKS = ("received", "queued")
TOO_LONG = (
    f"The edited message is longer than {MAX_TASK_CHARS:,} characters; the agent keeps the "
    "earlier text. Shorten it and edit it again."
)


class MessageEdits:
    """What waits is changed or leaves the queue; an edit after the fact is no instruction."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def revise(self, thread: ThreadRef, ts: str, text: str | None) -> bool:
        """Give a message that still waits another text, or withdraw it (None, or no words).

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
        # One that is just being handed over may be on both sides.
        if not await self._at_bridge(agent, ts, text) and not stored:
            return False
        if text is None:
            async with self._deps.store.transaction() as tx:
                for fate in WAITING_MARKS:
                    mark = self._deps.presenter.mark(agent, ts, fate, present=False)
                    await tx.enqueue(agent.id, mark)
        return True

    async def _at_bridge(self, agent: Agent, ts: str, text: str | None) -> bool:
        if not agent.alive:
            return False
        try:
            container = await self._deps.runtime.find(agent.id)
            if container is None or container.endpoint is None:
                return False
            address = self._deps.address(agent.id, container.endpoint)
            return await self._deps.bridge.revise(address, ts, text)
        except BotError as error:
            logger.warning("message %s of %s was not revised: %s", ts, agent.id, error)
            return False
