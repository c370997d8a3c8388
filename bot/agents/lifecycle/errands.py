"""What the courier carries beside messages: an answer, leave to go on, an undoing."""

from typing import assert_never

from bot.agents.context import Dependencies
from bot.domain.agent import Agent
from bot.domain.container import (
    BridgeAddress,
)
from bot.domain.message import Message, MessageKind
from bot.domain.quoting import line
from bot.errors import BridgeRefused
from bridge.protocol import ChatRequest, ErrorCode, QuestionAsked, QuestionKind

_GONE = (ErrorCode.NOT_FOUND, ErrorCode.WORKSPACE_MISSING)


class ControlDelivery:
    """Each is done once and noted as delivered, also where the bridge knows nothing of it."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def run(self, agent: Agent, address: BridgeAddress, message: Message) -> None:
        """Do one; raises BridgeUnreachable, or BridgeRefused for what nobody expects."""
        match message.kind:
            case MessageKind.ANSWER:
                said = await self._answer(agent, address, message)
            case MessageKind.RESUME:
                said = await self._resume(address, message)
            case MessageKind.UNDO:
                said = await self._undo(address, message)
            case MessageKind.START | MessageKind.REPLY | MessageKind.PRESSED:
                raise ValueError(f"{message.id} is no errand")
            case _:
                assert_never(message.kind)
        async with self._deps.store.transaction() as tx:
            await tx.message_delivered(agent.id, message.id)
            current = await tx.agent(agent.id)
            if said and current:
                post = self._deps.presenter.notice(current, message.id, said)
                await tx.enqueue(agent.id, post)

    async def _answer(self, agent: Agent, address: BridgeAddress, message: Message) -> str:
        try:
            await self._deps.bridge.answer(address, message.name, message.text, message.user)
        except BridgeRefused as error:
            if error.error.code not in _GONE:
                raise
            return await self._answer_anew(agent, address, message)
        return ""

    async def _answer_anew(self, agent: Agent, address: BridgeAddress, message: Message) -> str:
        """A container that never asked: the answer goes there as a message of the person."""
        events = await self._deps.store.events(agent.id, message.task_id, kinds=(QuestionAsked,))
        asked = next(
            (
                event
                for event in events
                if isinstance(event, QuestionAsked) and event.question_id == message.name
            ),
            None,
        )
        if asked is None or asked.kind is QuestionKind.APPROVAL:
            return "🔐 The command does not wait any more, so nothing was run."
        text = f"You asked: {asked.text}\nMy answer: {message.text}"
        request = ChatRequest(
            message_id=message.id,
            task_id=f"{agent.id}-{message.name}",
            text=text,
            model=agent.model,
            max_steps=agent.max_steps,
            author=message.user,
        )
        await self._deps.bridge.chat(address, request)
        return ""

    async def _resume(self, address: BridgeAddress, message: Message) -> str:
        try:
            await self._deps.bridge.resume(address, message.task_id)
        except BridgeRefused as error:
            if error.error.code not in _GONE:
                raise
            return "The paused task is not there any more. Reply to give the agent a new one."
        return ""

    async def _undo(self, address: BridgeAddress, message: Message) -> str:
        try:
            files = await self._deps.bridge.undo(address, message.task_id)
        except BridgeRefused as error:
            return f"The task was not undone: {line(error.error.message, 300)}"
        noun = "file is" if files == 1 else "files are"
        return (
            f"↩ *<@{message.user}> undid the last task*: {files} {noun} as before it. The "
            "conversation knows; reply to go on."
        )
