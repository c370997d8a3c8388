"""A task that waits for a person: what lets it go on, each recorded before it has its effect."""

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
    """Answers and pauses. The waiting itself is a state of the ledger, so it survives a restart."""

    def __init__(self, ledger: Projection, events: EventLog) -> None:
        self._ledger = ledger
        self._events = events
        self._pause_task = ""  # the task that shall pause

    def wants_pause(self, task_id: str) -> bool:
        """Whether this task shall wait before its next model call."""
        return self._pause_task == task_id

    async def answer(self, question_id: str, answer: str, author: str) -> Answered:
        """Answer the open question, once: a later answer is told who was first.

        Raises BridgeError when the question is not open, or the answer is none to it.
        """
        question = self._ledger.question
        if known := self._ledger.answers.get(question_id):
            taken = (known.answer, known.author) == (answer, author)
            return Answered(taken=taken, answer=known.answer, author=known.author)
        if question is None or question.question_id != question_id:
            raise BridgeError(ErrorCode.NOT_FOUND, _NOT_OPEN)
        if question.kind is QuestionKind.APPROVAL and answer not in set(ApprovalChoice):
            raise BridgeError(
                ErrorCode.INVALID_REQUEST, f"An approval takes: {', '.join(ApprovalChoice)}."
            )
        await self._record(question, answer, author)
        return Answered(taken=True, answer=answer, author=author)

    async def hear(self, message: UserMessage) -> None:
        """A message of a person ends the waiting, whatever it is for; no command is allowed by it.

        The message is stored already.
        """
        question = self._ledger.question
        if self._ledger.paused:
            await self._go_on()
        elif question is not None and self._ledger.answer is None:
            await self._record(question, "", message.author, message.id)

    def pause(self, task_id: str) -> None:
        """Let the task wait before its next model call; raises BridgeError when it is over."""
        self._check(task_id)
        if not self._ledger.waits:
            self._pause_task = task_id

    async def resume(self, task_id: str) -> None:
        """Let a paused task go on; raises BridgeError when it is over."""
        self._check(task_id)
        self._pause_task = ""
        if self._ledger.paused:
            await self._go_on()

    def _check(self, task_id: str) -> None:
        running = self._ledger.running
        if running is None or running.task_id != task_id:
            raise BridgeError(ErrorCode.NOT_FOUND, _NOT_AT_WORK)

    async def _go_on(self) -> None:
        self._pause_task = ""
        running = self._ledger.running
        await self._events.record(TaskResumed(task_id=running.task_id if running else None))

    async def _record(
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
