"""The bot's requests by which people control a task: answers, pauses, undoing."""

from urllib.parse import quote

from bot.bridge_client.http import BridgeRequests, ClientLimits, read
from bot.domain.container import (
    BridgeAddress,
)
from bridge.protocol import Answered, AnswerRequest, TaskRequest, Undone


class ControlRequests:
    """A part of the Bridge port, over the requests of the rest."""

    _requests: BridgeRequests
    _limits: ClientLimits

    async def answer(
        self, address: BridgeAddress, question_id: str, answer: str, author: str
    ) -> Answered:
        """Answer the question that a task waits for; safe to send twice."""
        path = f"/agent/answers/{quote(question_id, safe='')}"
        body = AnswerRequest(answer=answer, author=author)
        seconds = self._limits.answer_seconds
        return read(Answered, await self._requests.send(address, "POST", path, seconds, body=body))

    async def pause(self, address: BridgeAddress, task_id: str) -> None:
        """Let the task wait before its next model call."""
        await self._of_task(address, "pause", task_id, self._limits.answer_seconds)

    async def resume(self, address: BridgeAddress, task_id: str) -> None:
        """Let a paused task go on."""
        await self._of_task(address, "resume", task_id, self._limits.answer_seconds)

    async def undo(self, address: BridgeAddress, task_id: str) -> int:
        """Put the files back to before the last task; how many of them differ by it."""
        said = await self._of_task(address, "undo", task_id, self._limits.apply_seconds)
        return read(Undone, said).files

    async def _of_task(
        self, address: BridgeAddress, what: str, task_id: str, seconds: float
    ) -> bytes:
        body = TaskRequest(task_id=task_id)
        return await self._requests.send(address, "POST", f"/agent/{what}", seconds, body=body)
