"""What the product asks of a bridge beside messages: answers, pauses, undoing."""

from typing import TYPE_CHECKING, Protocol

from bridge.protocol import Answered

if TYPE_CHECKING:
    from bot.agents.ports import BridgeAddress


class BridgeControl(Protocol):
    """A part of the bridge's contract. Raises BridgeUnreachable or BridgeRefused."""

    async def answer(
        self, address: "BridgeAddress", question_id: str, answer: str, author: str
    ) -> Answered:
        """Answer the question that a task waits for; safe to send twice."""

    async def pause(self, address: "BridgeAddress", task_id: str) -> None:
        """Let the task wait before its next model call."""

    async def resume(self, address: "BridgeAddress", task_id: str) -> None:
        """Let a paused task go on."""

    async def undo(self, address: "BridgeAddress", task_id: str) -> int:
        """Put the files back to before the last task; how many of them differ by it."""
