"""Lets a task wait for a person and go on; each is recorded before it has its effect."""

from bridge.errors import BridgeError
from bridge.protocol import (
    Answered,
    ApprovalChoice,
    ErrorCode,
    QuestionAnswered,
    QuestionAsked,
    QuestionKind,
    TaskResumed,
)
from bridge.state.conversation import UserMessage
from bridge.state.event_log import EventLog
from bridge.state.projection import Projection

_NOT_OPEN = "This question is not open any more: its task has ended."
_NOT_AT_WORK = "This task is not at work any more."


class Pauses:
    """Takes answers and pauses. The projection holds the waiting, so that it survives a restart."""

    def __init__(self, projection: Projection, events: EventLog) -> None:
        self._projection = projection
        self._events = events
        self._pausing_task_id = ""  # the task that shall pause

    def wants_pause(self, task_id: str) -> bool:
        """Checks whether this task shall wait before its next model call."""
        return self._pausing_task_id == task_id

    async def answer_question(self, question_id: str, answer: str, author: str) -> Answered:
        """Answers the open question, once: a later answer is told who was first.

        Raises BridgeError when the question is not open, or does not take such an answer.
        """
        question = self._projection.question
        if known := self._projection.answers.get(question_id):
            taken = (known.answer, known.author) == (answer, author)
            return Answered(taken=taken, answer=known.answer, author=known.author)
        if question is None or question.question_id != question_id:
            raise BridgeError(ErrorCode.NOT_FOUND, _NOT_OPEN)
        if question.kind is QuestionKind.APPROVAL and answer not in set(ApprovalChoice):
            raise BridgeError(
                ErrorCode.INVALID_REQUEST, f"An approval takes: {', '.join(ApprovalChoice)}."
            )
        await self._record_answer(question, answer, author)
        return Answered(taken=True, answer=answer, author=author)

    async def resume_by_message(self, message: UserMessage) -> None:
        """Ends the waiting, whatever it is for, by a stored message; it allows no command."""
        question = self._projection.question
        if self._projection.paused:
            await self._record_resumed()
        elif question is not None and self._projection.answer is None:
            await self._record_answer(question, "", message.author, message.id)

    def pause_task(self, task_id: str) -> None:
        """Lets the task wait before its next model call; raises BridgeError when it is over."""
        self._require_running(task_id)
        if not self._projection.waits:
            self._pausing_task_id = task_id

    async def resume_task(self, task_id: str) -> None:
        """Lets a paused task go on; raises BridgeError when it is over."""
        self._require_running(task_id)
        self._pausing_task_id = ""
        if self._projection.paused:
            await self._record_resumed()

    def _require_running(self, task_id: str) -> None:
        running = self._projection.running
        if running is None or running.task_id != task_id:
            raise BridgeError(ErrorCode.NOT_FOUND, _NOT_AT_WORK)

    async def _record_resumed(self) -> None:
        self._pausing_task_id = ""
        running = self._projection.running
        await self._events.record(TaskResumed(task_id=running.task_id if running else None))

    async def _record_answer(
        self, question: QuestionAsked, answer: str, author: str, message_id: str | None = None
    ) -> None:
        await self._events.record(
            QuestionAnswered(
                task_id=question.task_id,
                question_id=question.question_id,
                kind=question.kind,
                answer=answer,
                author=author,
                fingerprint=question.fingerprint,
                message_id=message_id,
            )
        )
