"""What the product asks of a bridge beside messages: answers, pauses, undoing."""

from dataclasses import dataclass
from typing import Protocol

from pydantic import SecretStr

from bridge.protocol import Answered


@dataclass(frozen=True, slots=True)
class BridgeAddress:
    """Where the bridge of one agent answers, and what it wants to hear."""

    endpoint: str
    token: SecretStr


class BridgeControl(Protocol):
    """A part of the bridge's contract. Raises BridgeUnreachable or BridgeRefused."""

    async def answer(
        self, address: BridgeAddress, question_id: str, answer: str, author: str
    ) -> Answered:
        """Answer the question that a task waits for; safe to send twice."""

    async def pause(self, address: BridgeAddress, task_id: str) -> None:
        """Let the task wait before its next model call."""

    async def resume(self, address: BridgeAddress, task_id: str) -> None:
        """Let a paused task go on."""

    async def undo(self, address: BridgeAddress, task_id: str) -> int:
        """Put the files back to before the last task; how many of them differ by it."""
