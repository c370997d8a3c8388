"""Hands the files of a message to the agent's bridge, before the message itself."""

import logging
from collections.abc import Sequence
from dataclasses import replace

from bot.agents.context import Dependencies
from bot.domain.agent import Agent
from bot.domain.attachment import Attachment, with_files
from bot.domain.container import (
    BridgeAddress,
)
from bot.domain.message import Message
from bot.domain.quoting import code
from bot.errors import BridgeRefused, FileUnavailable
from bridge.protocol import (
    MAX_ATTACHMENT_BYTES,
    MAX_TASK_CHARS,
)

logger = logging.getLogger(__name__)


class AttachmentDelivery:
    """A file that cannot be had keeps no message back: the model and the thread are told."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def with_files(self, agent: Agent, address: BridgeAddress, message: Message) -> Message:
        """The message as the model reads it, its files in the workspace. Safe to do twice.

        Raises BridgeUnreachable.
        """
        lying: list[str] = []
        missing: list[tuple[Attachment, str]] = []
        for file in message.files:
            try:
                lying.append(await self._hand_over(address, file))
            except FileUnavailable as error:
                logger.warning("file %s of %s: %s", file.id, agent.id, error)
                missing.append((file, error.user_text))
        if missing:
            await self._tell(agent, message, missing)
        names = [file.name for file, _ in missing]
        return replace(message, text=with_files(message.text, lying, names, MAX_TASK_CHARS))

    async def _hand_over(self, address: BridgeAddress, file: Attachment) -> str:
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

    async def _tell(
        self, agent: Agent, message: Message, missing: Sequence[tuple[Attachment, str]]
    ) -> None:
        said = " ".join(f"{code(file.name)}: {why}" for file, why in missing)
        text = f"⚠ The agent works without what was attached. {said}"
        async with self._deps.store.transaction() as tx:
            post = self._deps.presenter.notice(agent, f"files:{message.id}", text)
            await tx.enqueue(agent.id, post)
