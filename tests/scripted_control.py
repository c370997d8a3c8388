"""The part of the scripted bridge by which people control a task."""

from collections.abc import Sequence
from typing import Any, Protocol

from bot.domain.container import (
    BridgeAddress,
)
from bot.errors import BridgeRefused
from bridge.protocol import (
    AgentEvent,
    Answered,
    ErrorCode,
    QuestionAnswered,
    QuestionAsked,
    TaskPaused,
    TaskResumed,
    TaskUndone,
    WireError,
)


class _Session(Protocol):
    task_id: str | None

    @property
    def log(self) -> Sequence[AgentEvent]: ...


class ScriptedControl:
    """Answers as the real bridge does, from the log that the test and the bot have written."""

    async def _ask(self, route: str, address: BridgeAddress, request: Any) -> Any:
        raise NotImplementedError

    def push(self, agent_id: str, *events: AgentEvent) -> None:
        """Number the events and append them to the log."""
        raise NotImplementedError

    async def answer(
        self, address: BridgeAddress, question_id: str, answer: str, author: str
    ) -> Answered:
        """Answer an open question of the running task."""
        session: _Session = await self._ask("answer", address, (question_id, answer, author))
        asked = _last(session, QuestionAsked)
        if asked is None or asked.question_id != question_id or session.task_id is None:
            raise _refused(ErrorCode.NOT_FOUND)
        told = QuestionAnswered(
            at=asked.at + 60,
            task_id=asked.task_id,
            question_id=question_id,
            kind=asked.kind,
            answer=answer,
            author=author,
            fingerprint=asked.fingerprint,
        )
        self.push(_name(address), told)
        return Answered(taken=True, answer=answer, author=author)

    async def pause(self, address: BridgeAddress, task_id: str) -> None:
        """Pause the running task at once."""
        session: _Session = await self._ask("pause", address, task_id)
        self._check(session, task_id)
        self.push(_name(address), TaskPaused(at=1.0, task_id=task_id, step=1))

    async def resume(self, address: BridgeAddress, task_id: str) -> None:
        """Let it go on."""
        session: _Session = await self._ask("resume", address, task_id)
        self._check(session, task_id)
        self.push(_name(address), TaskResumed(at=1.0, task_id=task_id))

    async def undo(self, address: BridgeAddress, task_id: str) -> int:
        """Say that two files are as they were."""
        await self._ask("undo", address, task_id)
        self.push(_name(address), TaskUndone(at=1.0, undone_task_id=task_id, files=2))
        return 2

    def _check(self, session: _Session, task_id: str) -> None:
        if session.task_id != task_id:
            raise _refused(ErrorCode.NOT_FOUND)


def _last(session: _Session, kind: type[QuestionAsked]) -> QuestionAsked | None:
    found = [event for event in session.log if isinstance(event, kind)]
    return found[-1] if found else None


def _refused(code: ErrorCode) -> BridgeRefused:
    return BridgeRefused(404, WireError(code=code, message="No."))


def _name(address: BridgeAddress) -> str:
    return address.endpoint.removeprefix("http://").partition(".invalid")[0]
