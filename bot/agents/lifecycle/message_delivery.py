"""Hands an agent's messages over to its bridge: each once, in the order of arrival.

What people control a task by goes before what they say, since a full queue must not keep it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from bot.agents.context import Dependencies
from bot.agents.lifecycle.errands import ControlDelivery
from bot.agents.lifecycle.luggage import AttachmentDelivery
from bot.domain.agent import Agent
from bot.domain.container import (
    BridgeAddress,
)
from bot.domain.message import Message, MessageKind
from bot.domain.policy import ChannelRules
from bot.domain.quoting import line
from bot.errors import BridgeRefused, BridgeUnreachable
from bridge.protocol import Approvals, ChatMode, ChatRequest, ErrorCode, ExecuteRequest

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


class MessageDelivery:
    """Delivers what is stored and not yet delivered; a bridge takes the same message once."""

    def __init__(self, deps: Dependencies, agent_id: str) -> None:
        self._deps = deps
        self._agent_id = agent_id
        self._errands = ControlDelivery(deps)
        self._new_message = asyncio.Event()
        self._luggage = AttachmentDelivery(deps)

    def wake(self) -> None:
        """There is a message to hand over."""
        self._new_message.set()

    async def deliver(
        self, address: BridgeAddress, is_there: Callable[[], Awaitable[bool]]
    ) -> None:
        """Deliver until cancelled.

        `is_there`: whether it is the agent's container that answers at this address; raises when
        waiting has no sense.
        """
        while True:
            self._new_message.clear()
            for message in await self._waiting():
                if not await self._hand_over(address, message, is_there):
                    break
            else:
                await self._new_message.wait()

    async def _waiting(self) -> Sequence[Message]:
        waiting = await self._deps.store.undelivered(self._agent_id)
        return sorted(waiting, key=lambda message: not _is_urgent(message))

    async def _hand_over(
        self,
        address: BridgeAddress,
        message: Message,
        is_there: Callable[[], Awaitable[bool]],
    ) -> bool:
        """Hand one over; False: it waits, and what has come meanwhile may go before it."""
        while (current := await self._current(message)) is not None:
            try:
                await self._send(address, current)
            except BridgeUnreachable as error:
                logger.warning("message %s waits: %s", message.id, error)
                await is_there()
            except BridgeRefused as error:
                is_full = error.error.code == ErrorCode.QUEUE_FULL
                # The port of a container that ended may be another's by now: no word of ours.
                if not is_full and await is_there():
                    await self._report_refusal(message, error)
                    return True
                # Nothing is lost: it stays stored, and the queue shortens as tasks end.
                logger.warning("message %s waits: %s", message.id, error)
                if is_full:
                    await asyncio.sleep(RETRY_SECONDS)
                    return False
            else:
                return True
            await asyncio.sleep(RETRY_SECONDS)
        return True

    async def _current(self, message: Message) -> Message | None:
        """The message as it is now: the person may have edited it, or deleted it (None)."""
        waiting = await self._deps.store.undelivered(self._agent_id)
        return next((one for one in waiting if one.id == message.id), None)

    async def _send(self, address: BridgeAddress, message: Message) -> None:
        agent = await self._deps.store.agent(self._agent_id)
        if agent is None:
            return
        if not message.begins_task:
            await self._errands.run(agent, address, message)
            return
        stored = message
        asked = await self._approvals(agent)
        if message.files:
            message = await self._luggage.with_files(agent, address, message)
        if message.kind is MessageKind.START:
            await self._deps.bridge.execute(
                address,
                ExecuteRequest(
                    task_id=message.task_id,
                    text=message.text,
                    model=agent.model,
                    max_steps=agent.max_steps,
                    author=message.user,
                    **asked,
                ),
            )
        else:
            await self._deps.bridge.chat(
                address,
                ChatRequest(
                    message_id=message.id,
                    task_id=message.task_id,
                    text=message.text,
                    mode=message.mode,
                    model=agent.model,
                    max_steps=agent.max_steps,
                    author=message.user,
                    **asked,
                ),
            )
        await self._delivered(address, stored)

    async def _delivered(self, address: BridgeAddress, sent: Message) -> None:
        """Note that the bridge has it; what the person changed while it was on its way follows."""
        while True:
            async with self._deps.store.transaction() as tx:
                current = await self._current(sent)
                if current is not None and current.text == sent.text:
                    await tx.message_delivered(self._agent_id, sent.id)
                    return
            text = None if current is None else current.text
            with suppress(BridgeRefused):  # an older bridge, or it is too late
                await self._deps.bridge.revise(address, sent.id, text)
            if current is None:
                return
            sent = current

    async def _approvals(self, agent: Agent) -> dict[str, Any]:
        """What is said only where a channel wants it: an older bridge does not know the word."""
        settings = await self._deps.store.channel_settings(agent.team, agent.channel)
        asks = ChannelRules.of(settings).approvals is Approvals.ASK
        return {"approvals": Approvals.ASK} if asks else {}

    async def _report_refusal(self, message: Message, error: BridgeRefused) -> None:
        logger.error("message %s was refused: %s", message.id, error)
        text = f"The agent could not take this message: {line(error.error.message, 300)}"
        async with self._deps.store.transaction() as tx:
            agent = await tx.agent(self._agent_id)
            await tx.message_delivered(self._agent_id, message.id)
            if agent:
                post = self._deps.presenter.trouble(agent, f"refused:{message.id}", text)
                await tx.enqueue(agent.id, post)


def _is_urgent(message: Message) -> bool:
    return not message.begins_task or message.mode is ChatMode.INTERRUPT
