"""Delivers an agent's messages to its bridge: each once, in the order of arrival, with their files.

Answers, resumes and undos go before what people say, since a full queue must not hold them up.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, assert_never

from bot.agents.context import Dependencies
from bot.domain.agent import Agent
from bot.domain.attachment import Attachment, with_files
from bot.domain.container import BridgeAddress
from bot.domain.message import Message, MessageKind
from bot.domain.policy import ChannelRules
from bot.domain.quoting import code, line
from bot.errors import BridgeRefused, BridgeUnreachable, FileUnavailable
from bridge.protocol import (
    MAX_ATTACHMENT_BYTES,
    MAX_TASK_CHARS,
    Approvals,
    ChatMode,
    ChatRequest,
    ErrorCode,
    ExecuteRequest,
    QuestionAsked,
    QuestionKind,
)

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
_GONE = (ErrorCode.NOT_FOUND, ErrorCode.WORKSPACE_MISSING)


class MessageDelivery:
    """Delivers what is stored and not yet delivered; a bridge takes the same message once."""

    def __init__(self, deps: Dependencies, agent_id: str) -> None:
        self._deps = deps
        self._agent_id = agent_id
        self._controls = ControlDelivery(deps)
        self._new_message = asyncio.Event()
        self._attachments = AttachmentDelivery(deps)

    def wake(self) -> None:
        """Starts the delivery of a new message."""
        self._new_message.set()

    async def deliver(
        self, address: BridgeAddress, is_there: Callable[[], Awaitable[bool]]
    ) -> None:
        """Delivers until cancelled.

        `is_there` checks whether the agent's container answers at this address; it raises when
        waiting is of no use.
        """
        while True:
            self._new_message.clear()
            for message in await self._waiting():
                if not await self._deliver_message(address, message, is_there):
                    break
            else:
                await self._new_message.wait()

    async def _waiting(self) -> Sequence[Message]:
        waiting = await self._deps.store.undelivered(self._agent_id)
        return sorted(waiting, key=lambda message: not _is_urgent(message))

    async def _deliver_message(
        self,
        address: BridgeAddress,
        message: Message,
        is_there: Callable[[], Awaitable[bool]],
    ) -> bool:
        """Delivers one message; False: it waits, and a message that has come since may go first."""
        while (current := await self._current(message)) is not None:
            try:
                await self._send(address, current)
            except BridgeUnreachable as error:
                logger.warning("message %s waits: %s", message.id, error)
                await is_there()
            except BridgeRefused as error:
                is_full = error.error.code == ErrorCode.QUEUE_FULL
                # The port of a container that ended may be another agent's by now.
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
        """Returns the message as it is now: the person may have edited or deleted it (None)."""
        waiting = await self._deps.store.undelivered(self._agent_id)
        return next((other for other in waiting if other.id == message.id), None)

    async def _send(self, address: BridgeAddress, message: Message) -> None:
        agent = await self._deps.store.agent(self._agent_id)
        if agent is None:
            return
        if not message.begins_task:
            await self._controls.deliver(agent, address, message)
            return
        stored = message
        approvals = await self._approvals_field(agent)
        if message.files:
            message = await self._attachments.deliver(agent, address, message)
        if message.kind is MessageKind.START:
            await self._deps.bridge.execute(
                address,
                ExecuteRequest(
                    task_id=message.task_id,
                    text=message.text,
                    model=agent.model,
                    max_steps=agent.max_steps,
                    author=message.user,
                    **approvals,
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
                    **approvals,
                ),
            )
        await self._store_delivered(address, stored)

    async def _store_delivered(self, address: BridgeAddress, sent: Message) -> None:
        """Stores that the bridge has it, then sends what the person changed in the meantime."""
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

    async def _approvals_field(self, agent: Agent) -> dict[str, Any]:
        """Returns the field only where a channel asks for it: an older bridge does not know it."""
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


class ControlDelivery:
    """Delivers answers, resumes and undos once each, even when the bridge knows no such task."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def deliver(self, agent: Agent, address: BridgeAddress, message: Message) -> None:
        """Delivers one; raises BridgeUnreachable, or BridgeRefused for an unexpected refusal."""
        match message.kind:
            case MessageKind.ANSWER:
                outcome = await self._answer(agent, address, message)
            case MessageKind.RESUME:
                outcome = await self._resume(address, message)
            case MessageKind.UNDO:
                outcome = await self._undo(address, message)
            case MessageKind.START | MessageKind.REPLY | MessageKind.PRESSED:
                raise ValueError(f"{message.id} begins a task")
            case _:
                assert_never(message.kind)
        async with self._deps.store.transaction() as tx:
            await tx.message_delivered(agent.id, message.id)
            current = await tx.agent(agent.id)
            if outcome and current:
                post = self._deps.presenter.notice(current, message.id, outcome)
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
        """Sends the answer as a message of the person, to a container that never asked."""
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


class AttachmentDelivery:
    """Puts the files of a message into the workspace, before the message itself.

    A failed download does not delay the message: the model and the thread are informed.
    """

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def deliver(self, agent: Agent, address: BridgeAddress, message: Message) -> Message:
        """Delivers the files; returns the message as the model reads it. Safe to do twice.

        Raises BridgeUnreachable.
        """
        paths: list[str] = []
        missing: list[tuple[Attachment, str]] = []
        for file in message.files:
            try:
                paths.append(await self._attach(address, file))
            except FileUnavailable as error:
                logger.warning("file %s of %s: %s", file.id, agent.id, error)
                missing.append((file, error.user_text))
        if missing:
            await self._report_missing(agent, message, missing)
        names = [file.name for file, _ in missing]
        return replace(message, text=with_files(message.text, paths, names, MAX_TASK_CHARS))

    async def _attach(self, address: BridgeAddress, file: Attachment) -> str:
        if self._deps.fetch_file is None:
            raise FileUnavailable("Files are not fetched here.")
        data = await self._deps.fetch_file(file.id, MAX_ATTACHMENT_BYTES)
        try:
            return await self._deps.bridge.attach(address, file.name, data)
        except BridgeRefused as error:
            # An older image has no place for files; a full disk takes none.
            raise FileUnavailable(
                "The container did not take it. `make image` builds one that takes files.",
                str(error),
            ) from error

    async def _report_missing(
        self, agent: Agent, message: Message, missing: Sequence[tuple[Attachment, str]]
    ) -> None:
        reasons = " ".join(f"{code(file.name)}: {why}" for file, why in missing)
        text = f"⚠ The agent works without what was attached. {reasons}"
        async with self._deps.store.transaction() as tx:
            post = self._deps.presenter.notice(agent, f"files:{message.id}", text)
            await tx.enqueue(agent.id, post)


def _is_urgent(message: Message) -> bool:
    return not message.begins_task or message.mode is ChatMode.INTERRUPT
