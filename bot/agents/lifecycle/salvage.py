"""Reads the work of an agent before it ends, part by part: one that fails costs no other."""

import asyncio
import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from bot.agents.context import Dependencies
from bot.domain.agent import Agent, Leftover
from bot.domain.container import BridgeAddress
from bot.domain.saved_state import (
    SavedState,
    SavedWork,
    fits_thread,
)
from bot.errors import AnswerTooLarge, BotError
from bridge.protocol import Diff

logger = logging.getLogger(__name__)

_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits how long each part may take; they are read side by side."""

    diff_seconds: float
    patch_seconds: float
    export_seconds: float


@dataclass(frozen=True, slots=True)
class Salvaged:
    """Holds the parts that were read; None is a part that was not.

    `as_kept`: nothing was left to read, so patch and conversation are those that the host keeps.
    """

    diff: Diff | None = None
    patch: bytes | None = None
    conversation: bytes | None = None
    too_large: bool = False
    as_kept: bool = False

    @property
    def leftover(self) -> Leftover:
        """Names what only the agent's files hold."""
        if self.too_large:
            return Leftover.FILES
        if self.patch is None:
            return Leftover.PATCH
        return Leftover.CONVERSATION if self.conversation is None else Leftover.NOTHING

    def saved(self) -> SavedWork:
        """Returns what the thread shows of it."""
        patch = self.patch or b""
        return SavedWork(
            self.diff,
            patch,
            newest=self.patch is not None and not self.as_kept,
            leftover=self.leftover,
            fits=fits_thread(patch),
        )

    def state(self, last_seq: int, at: float) -> SavedState | None:
        """Returns what a fresh container would need, when all of it was read."""
        if self.as_kept or self.patch is None or self.conversation is None:
            return None
        return SavedState(self.conversation, self.patch, last_seq, at)


async def salvage(
    deps: Dependencies, agent: Agent, address: BridgeAddress, patience: Patience
) -> Salvaged:
    """Reads diff, patch and conversation, as far as each comes in its time."""
    async with asyncio.TaskGroup() as group:
        diff = group.create_task(
            _read_in_time(deps.bridge.diff(address), patience.diff_seconds, agent, "diff")
        )
        patch = group.create_task(_patch(deps, agent, address, patience.patch_seconds))
        conversation = group.create_task(
            _read_in_time(
                deps.bridge.export(address), patience.export_seconds, agent, "conversation"
            )
        )
    read, too_large = patch.result()
    listed = diff.result()
    if read is None and listed is not None and not listed.files:
        read, too_large = b"", False
    return Salvaged(listed, read, conversation.result(), too_large)


async def _patch(
    deps: Dependencies, agent: Agent, address: BridgeAddress, seconds: float
) -> tuple[bytes | None, bool]:
    """Reads the patch; returns True beside it when it is larger than the host takes."""
    try:
        return await _read_in_time(deps.bridge.patch(address), seconds, agent, "patch"), False
    except AnswerTooLarge as error:
        logger.warning("the patch of %s is not taken: %s", agent.id, error)
        return None, True


async def _read_in_time(
    reading: Awaitable[_Part], seconds: float, agent: Agent, what: str
) -> _Part | None:
    try:
        async with asyncio.timeout(seconds):
            return await reading
    except AnswerTooLarge:
        if what == "patch":
            raise
    except (BotError, TimeoutError) as error:
        logger.warning("the %s of %s was not read: %s", what, agent.id, str(error) or "too slow")
    except Exception:  # boundary: a stop needs no consent of what it reads
        logger.exception("the %s of %s cannot be read", what, agent.id)
    return None
