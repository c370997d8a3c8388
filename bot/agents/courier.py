"""Hands an agent's messages over to its bridge: each once, in the order of arrival."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from bot.agents.luggage import Luggage
from bot.agents.ports import BridgeAddress
from bot.agents.world import World
from bot.domain.message import FIRST, Message
from bot.errors import BridgeRefused, BridgeUnreachable
from bridge.protocol import ChatRequest, ErrorCode, ExecuteRequest

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0


class Courier:
    """Delivers what is stored and not yet delivered; a bridge takes the same message once."""

    def __init__(self, world: World, agent_id: str) -> None:
        self._world = world
        self._agent_id = agent_id
        self._new_message = asyncio.Event()
        self._luggage = Luggage(world)

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
            for message in await self._world.store.undelivered(self._agent_id):
                await self._hand_over(address, message, is_there)
            await self._new_message.wait()

    async def _hand_over(
        self,
        address: BridgeAddress,
        message: Message,
        is_there: Callable[[], Awaitable[bool]],
    ) -> None:
        current: Message | None = message
        while current is not None:
            try:
                await self._send(address, current)
            except BridgeUnreachable as error:
                logger.warning("message %s waits: %s", message.id, error)
                await is_there()
            except BridgeRefused as error:
                # The port of a container that ended may be another's by now: no word of ours.
                if error.error.code != ErrorCode.QUEUE_FULL and await is_there():
                    await self._report_refusal(message, error)
                    return
                # Nothing is lost: it stays stored, and the queue shortens as tasks end.
                logger.warning("message %s waits: %s", message.id, error)
            else:
                return
            await asyncio.sleep(RETRY_SECONDS)
            # The person may have edited or deleted it meanwhile.
            waiting = await self._world.store.undelivered(self._agent_id)
            current = next((one for one in waiting if one.id == message.id), None)

    async def _send(self, address: BridgeAddress, message: Message) -> None:
        agent = await self._world.store.agent(self._agent_id)
        if agent is None:
            return
        if message.files:
            message = await self._luggage.with_files(agent, address, message)
        if message.id == FIRST:
            await self._world.bridge.execute(
                address,
                ExecuteRequest(
                    task_id=message.task_id,
                    text=message.text,
                    model=agent.model,
                    max_steps=agent.max_steps,
                    author=message.user,
                ),
            )
        else:
            await self._world.bridge.chat(
                address,
                ChatRequest(
                    message_id=message.id,
                    task_id=message.task_id,
                    text=message.text,
                    mode=message.mode,
                    model=agent.model,
                    max_steps=agent.max_steps,
                    author=message.user,
                ),
            )
        async with self._world.store.transaction() as tx:
            await tx.message_delivered(agent.id, message.id)

    async def _report_refusal(self, message: Message, error: BridgeRefused) -> None:
        logger.error("message %s was refused: %s", message.id, error)
        text = f"The agent could not take this message: {error.error.message}"
        async with self._world.store.transaction() as tx:
            agent = await tx.agent(self._agent_id)
            await tx.message_delivered(self._agent_id, message.id)
            if agent:
                post = self._world.voice.trouble(agent, f"refused:{message.id}", text)
                await tx.enqueue(agent.id, post)
