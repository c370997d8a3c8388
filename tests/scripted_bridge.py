"""A bridge whose model is the test: it numbers and stores events as the real one does."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from bot.domain.container import BridgeAddress
from bot.errors import BridgeRefused, BridgeUnreachable
from bridge.protocol import (
    Accepted,
    AgentEvent,
    Answered,
    ChatMode,
    ChatRequest,
    Diff,
    Disposition,
    ErrorCode,
    Evidence,
    ExecuteRequest,
    FileChange,
    MessageTakenUp,
    MessageWritten,
    Outcome,
    Pushed,
    PushRequest,
    QuestionAnswered,
    QuestionAsked,
    SavedConversation,
    SessionStatus,
    Status,
    TaskFinished,
    TaskPaused,
    TaskResumed,
    TaskStarted,
    TaskUndone,
    ToolEnvironment,
    WireError,
    WorkspaceCloning,
    WorkspaceReady,
    WorkspaceReadyEvent,
    WorkspaceRequest,
)
from tests.harness.waiting import Changes

COMMIT = "c0ffee" * 6 + "c0ff"
PATCH = b"diff --git a/a.py b/a.py\n"
CHANGED = Diff(
    base_commit=COMMIT,
    files=(FileChange(path="a.py", status="modified", added=14, removed=6),),
    text="diff",
)


@dataclass
class _Session:
    """What one bridge knows: its log, its workspace, its tasks."""

    log: list[AgentEvent] = field(default_factory=list)
    before: int = 0
    workspace: WorkspaceReady | None = None
    task_id: str | None = None
    seen: dict[str, Accepted] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    cut: int = 0

    def last_question(self) -> QuestionAsked | None:
        asked = [event for event in self.log if isinstance(event, QuestionAsked)]
        return asked[-1] if asked else None

    def check_task(self, task_id: str) -> None:
        if self.task_id != task_id:
            raise BridgeRefused(404, _error(ErrorCode.NOT_FOUND))


class ScriptedBridge:
    """All bridges at once, one per endpoint; the test plays the model by `push` and `finish`.

    `asked` holds (route, agent, request) in order. A route in `refusals` answers that error, one
    in `gates` waits first, one in `broken` fails inside the bot, as a bug does; an agent in
    `unreachable` does not answer. `followers` counts the streams of events that are open,
    `abandoned` those that the garbage collector had to close. The agents in `cloning` have a clone
    under way that somebody else asked for.
    """

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._sessions: dict[str, _Session] = defaultdict(_Session)
        self.asked: list[tuple[str, str, Any]] = []
        self.unreachable: set[str] = set()
        self.refusals: dict[str, WireError] = {}
        self.broken: dict[str, Exception] = {}
        self.cloning: set[str] = set()
        self.refused_names: set[str] = set()  # of variables
        self.gates: dict[str, asyncio.Event] = {}
        self.saved = Diff(base_commit=COMMIT, text="")
        self.patch_bytes = b""
        self.pushed = Pushed()
        self.conversation = b"[]"
        self.followers = self.abandoned = 0

    # ---- what the test does ----

    def push(self, agent_id: str, *events: AgentEvent) -> None:
        """Number the events and append them to the log."""
        session = self._sessions[agent_id]
        log = session.log
        for event in events:
            if isinstance(event, MessageTakenUp):
                session.waiting.pop(event.message_id, None)
            log.append(event.model_copy(update={"seq": session.before + len(log) + 1}))
        self._changes.tell()

    def finish(
        self,
        agent_id: str,
        text: str = "",
        outcome: Outcome = Outcome.COMPLETED,
        evidence: Evidence | None = None,
    ) -> None:
        """The running task says `text` and ends."""
        session = self._sessions[agent_id]
        task_id, session.task_id = session.task_id, None
        said = [MessageWritten(at=1.0, task_id=task_id, text=text, final=True)] if text else []
        ended = TaskFinished(
            at=1.0,
            task_id=task_id,
            outcome=outcome,
            steps=1,
            duration_seconds=1.0,
            evidence=evidence or Evidence(),
        )
        self.push(agent_id, *said, ended)

    def variables(self, agent_id: str) -> dict[str, str]:
        """What the tools of this agent have."""
        return self._sessions[agent_id].variables

    def cut(self, agent_id: str) -> None:
        """Every open stream of this agent ends by BridgeUnreachable."""
        self._sessions[agent_id].cut += 1
        self._changes.tell()

    def end_task(self, agent_id: str) -> str | None:
        """The bridge knows of no running task any more; its events are the test's to tell."""
        task_id, self._sessions[agent_id].task_id = self._sessions[agent_id].task_id, None
        return task_id

    def forget(self, agent_id: str) -> None:
        """The agent's container is removed: the bridge of its next one knows nothing."""
        self._sessions.pop(agent_id, None)

    def routes(self, agent_id: str) -> list[str]:
        """What was asked of this agent's bridge, in order; what comes with each boot left out."""
        asked = [route for route, agent, _ in self.asked if agent == agent_id]
        return [route for route in asked if route != "environment"]

    def bodies(self, route: str) -> list[Any]:
        """The requests to one route, in order."""
        return [body for name, _, body in self.asked if name == route]

    # ---- the port ----

    async def wait_ready(self, address: BridgeAddress, timeout_seconds: float) -> None:
        """Ready, unless it is unreachable, or held up for longer than this."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._ask("health", address, None)
        except TimeoutError as error:
            raise BridgeUnreachable("not ready in time") from error

    async def prepare(self, address: BridgeAddress, request: WorkspaceRequest) -> WorkspaceReady:
        """A clone that takes no time."""
        session = await self._ask("workspace", address, request)
        if session.workspace is not None:
            return session.workspace.model_copy(update={"already_there": True})
        values = {
            "repository": request.repository,
            "source_branch": request.source_branch or "main",
            "target_branch": request.target_branch,
            "base_commit": COMMIT,
            "duration_seconds": 1.0,
        }
        session.workspace = WorkspaceReady.model_validate(values)
        cloning = WorkspaceCloning(at=1.0, repository=request.repository)
        ready = WorkspaceReadyEvent.model_validate(values | {"at": 1.0})
        self.push(_name(address), cloning, ready)
        return session.workspace

    async def execute(self, address: BridgeAddress, request: ExecuteRequest) -> Accepted:
        """Start the task, once."""
        session = await self._ask("execute", address, request)
        if session.workspace is None:
            raise BridgeRefused(409, _error(ErrorCode.WORKSPACE_MISSING))
        return self._start(_name(address), request, request.task_id, None)

    async def chat(self, address: BridgeAddress, request: ChatRequest) -> Accepted:
        """Start a task, or take the message to the running one."""
        session = await self._ask("chat", address, request)
        if session.task_id is None or request.message_id in session.seen:
            return self._start(_name(address), request, request.message_id, request.message_id)
        queued = request.mode is ChatMode.QUEUE
        how = Disposition.QUEUED if queued else Disposition.STEERING
        accepted = Accepted(disposition=how, task_id=session.task_id, position=1)
        session.seen[request.message_id] = accepted
        session.waiting[request.message_id] = request.text
        return accepted

    async def revise(self, address: BridgeAddress, message_id: str, text: str | None) -> bool:
        """Change or withdraw a message that waits."""
        session = await self._ask("revise", address, (message_id, text))
        if message_id not in session.waiting:
            return False
        if text is None:
            del session.waiting[message_id]
        else:
            session.waiting[message_id] = text
        return True

    async def answer(
        self, address: BridgeAddress, question_id: str, answer: str, author: str
    ) -> Answered:
        """Answer an open question of the running task."""
        session = await self._ask("answer", address, (question_id, answer, author))
        asked = session.last_question()
        if asked is None or asked.question_id != question_id or session.task_id is None:
            raise BridgeRefused(404, _error(ErrorCode.NOT_FOUND))
        answered = QuestionAnswered(
            at=asked.at + 60,
            task_id=asked.task_id,
            question_id=question_id,
            kind=asked.kind,
            answer=answer,
            author=author,
            fingerprint=asked.fingerprint,
        )
        self.push(_name(address), answered)
        return Answered(taken=True, answer=answer, author=author)

    async def pause(self, address: BridgeAddress, task_id: str) -> None:
        """Pause the running task at once."""
        session = await self._ask("pause", address, task_id)
        session.check_task(task_id)
        self.push(_name(address), TaskPaused(at=1.0, task_id=task_id, step=1))

    async def resume(self, address: BridgeAddress, task_id: str) -> None:
        """Let it go on."""
        session = await self._ask("resume", address, task_id)
        session.check_task(task_id)
        self.push(_name(address), TaskResumed(at=1.0, task_id=task_id))

    async def undo(self, address: BridgeAddress, task_id: str) -> int:
        """Say that two files are as they were."""
        await self._ask("undo", address, task_id)
        self.push(_name(address), TaskUndone(at=1.0, undone_task_id=task_id, files=2))
        return 2

    async def events(self, address: BridgeAddress, after_seq: int) -> AsyncGenerator[AgentEvent]:
        """The log after `after_seq`, then what the test pushes."""
        self.followers, follower = self.followers + 1, asyncio.current_task()
        try:
            async with aclosing(self._events(address, after_seq)) as events:
                async for event in events:
                    yield event
        finally:
            self.followers -= 1
            self.abandoned += asyncio.current_task() is not follower

    async def _events(self, address: BridgeAddress, after_seq: int) -> AsyncGenerator[AgentEvent]:
        session = await self._ask("events", address, after_seq)
        cuts, seen = session.cut, after_seq

        def is_news() -> bool:
            return session.cut > cuts or session.before + len(session.log) > seen

        while True:
            for event in session.log[max(seen - session.before, 0) :]:
                seen = event.seq
                yield event
            await self._changes.until(is_news, 3_600)
            if session.cut > cuts:
                raise BridgeUnreachable("the link was cut")

    async def set_environment(self, address: BridgeAddress, variables: Mapping[str, str]) -> None:
        """Take all of them or none, as the real one does."""
        session = await self._ask("environment", address, dict(variables))
        try:
            ToolEnvironment(variables=dict(variables))
        except ValidationError as error:
            raise BridgeRefused(400, _error(ErrorCode.INVALID_REQUEST)) from error
        if self.refused_names & variables.keys():
            raise BridgeRefused(400, _error(ErrorCode.INVALID_REQUEST))
        session.variables = dict(variables)

    async def interrupt(self, address: BridgeAddress, timeout_seconds: float) -> None:
        """End the running task."""
        session = await self._ask("interrupt", address, None)
        if session.task_id is not None:
            self.finish(_name(address), outcome=Outcome.INTERRUPTED)

    async def status(self, address: BridgeAddress) -> Status:
        """What this bridge is doing."""
        session = await self._ask("status", address, None)
        doing = SessionStatus.IDLE if session.workspace else SessionStatus.EMPTY
        if _name(address) in self.cloning:
            doing = SessionStatus.CLONING
        return Status(
            status=SessionStatus.WORKING if session.task_id else doing,
            instance_id="i",
            task_id=session.task_id,
            last_seq=session.before + len(session.log),
        )

    async def diff(self, address: BridgeAddress) -> Diff:
        """`saved`."""
        await self._ask("diff", address, None)
        return self.saved

    async def attach(self, address: BridgeAddress, name: str, data: bytes) -> str:
        """Note what was given."""
        await self._ask("attach", address, (name, data))
        return f"attachments/{name}"

    async def push_branch(self, address: BridgeAddress, request: PushRequest) -> Pushed:
        """`pushed`."""
        await self._ask("push", address, request)
        return self.pushed

    async def patch(self, address: BridgeAddress) -> bytes:
        """`patch_bytes`."""
        await self._ask("patch", address, None)
        return self.patch_bytes

    async def export(self, address: BridgeAddress) -> bytes:
        """`conversation`."""
        await self._ask("export", address, None)
        return self.conversation

    async def restore(self, address: BridgeAddress, conversation: bytes) -> None:
        """Number the events from where the conversation ends."""
        session = await self._ask("restore", address, conversation)
        session.before = SavedConversation.model_validate_json(conversation).last_seq

    async def apply(self, address: BridgeAddress, patch: bytes) -> None:
        """Note what was given."""
        await self._ask("apply", address, patch)

    def _start(self, agent_id: str, request: Any, key: str, message_id: str | None) -> Accepted:
        session = self._sessions[agent_id]
        if key not in session.seen:
            session.task_id = request.task_id
            started = Accepted(disposition=Disposition.STARTED, task_id=request.task_id)
            session.seen[key] = started
            self.push(
                agent_id,
                TaskStarted(
                    at=1.0,
                    task_id=request.task_id,
                    text=request.text,
                    model=request.model or "m",
                    max_steps=request.max_steps or 15,
                    message_id=message_id,
                ),
            )
        return session.seen[key]

    async def _ask(self, route: str, address: BridgeAddress, request: Any) -> _Session:
        agent_id = _name(address)
        self.asked.append((route, agent_id, request))
        self._changes.tell()
        if gate := self.gates.get(route):
            await gate.wait()
        if agent_id in self.unreachable:
            raise BridgeUnreachable(f"{agent_id} does not answer")
        if refusal := self.refusals.get(route):
            raise BridgeRefused(409, refusal)
        if error := self.broken.get(route):
            raise error
        return self._sessions[agent_id]


def _name(address: BridgeAddress) -> str:
    """The agent's id; the same at each of its ports."""
    return str(urlsplit(address.endpoint).hostname).removesuffix(".invalid")


def _error(code: str, message: str = "No.") -> WireError:
    return WireError(code=code, message=message)
