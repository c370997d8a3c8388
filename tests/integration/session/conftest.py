"""A scripted model, a real checkout, and sessions on both."""

import asyncio
import copy
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bridge.agent.session import Session
from bridge.config import BridgeSettings
from bridge.errors import ModelError
from bridge.model.client import ModelRequest
from bridge.model.limits import ModelLimits
from bridge.model.response import ModelTurn, ToolCall
from bridge.protocol import (
    AgentEvent,
    ChatMode,
    ChatRequest,
    ExecuteRequest,
    Outcome,
    TaskFinished,
    WorkspaceRequest,
    parse_event,
)
from bridge.tools import default_tools
from tests.harness.git import make_repository


@dataclass(frozen=True)
class Half:
    """An answer that breaks off after these words."""

    text: str
    error: ModelError


Step = ModelTurn | ModelError | Half | Callable[[ModelRequest], Awaitable[ModelTurn]]


def says(text: str, **fields: Any) -> ModelTurn:
    return ModelTurn(text=text, **fields)


def calls(tool: str, arguments: dict[str, Any] | str, text: str = "") -> ModelTurn:
    written = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return ModelTurn(text=text, tool_calls=(ToolCall(f"call_{tool}", tool, written),))


class ScriptedModel:
    """A ChatModel that plays its steps in order and remembers what it was asked."""

    def __init__(self, steps: Sequence[Step] = ()) -> None:
        self.steps = list(steps)
        self.known = ModelLimits()
        self.asked: list[ModelRequest] = []

    async def complete(self, request: ModelRequest, on_text: Callable[[str], None]) -> ModelTurn:
        seen = copy.deepcopy(list(request.messages))
        self.asked.append(ModelRequest(request.model, seen, request.tools))
        step = self.steps.pop(0)
        if isinstance(step, ModelError):
            raise step
        if isinstance(step, Half):
            on_text(step.text)
            raise step.error
        turn = step if isinstance(step, ModelTurn) else await step(request)
        if turn.text:
            on_text(turn.text)
        return turn

    async def limits(self, _model: str) -> ModelLimits:
        return self.known


def task(task_id: str = "t1", text: str = "do it", **fields: object) -> ExecuteRequest:
    return ExecuteRequest.model_validate(
        {"task_id": task_id, "text": text, "model": "acme/model", **fields}
    )


def message(number: int, mode: ChatMode = ChatMode.STEER, **fields: object) -> ChatRequest:
    return ChatRequest.model_validate(
        {"message_id": f"m{number}", "task_id": f"r{number}", "text": f"say {number}", "mode": mode}
        | fields
    )


class HangingStep:
    """A step that says a few words, tells that it was reached, and never ends."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def __call__(self, _request: ModelRequest) -> ModelTurn:
        self.reached.set()
        await asyncio.Event().wait()
        raise AssertionError


class SlowStep:
    """A step that tells that it was reached, and gives its turn when it is let go on."""

    def __init__(self, turn: ModelTurn) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self._turn = turn

    async def __call__(self, _request: ModelRequest) -> ModelTurn:
        self.reached.set()
        await self.go_on.wait()
        return self._turn


@pytest.fixture(scope="session")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {
        "README.md": "# Demo\n\nhello\n",
        "AGENTS.md": "Run `make check` before you finish.\n",
    }
    return make_repository(tmp_path_factory.mktemp("remote"), files)


@pytest.fixture(scope="session")
def prepared(remote: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace and a state right after the clone: copied, not cloned, by most tests."""
    root = tmp_path_factory.mktemp("prepared")

    async def prepare() -> None:
        session = Session(settings_in(root), ScriptedModel(), default_tools())
        await session.prepare(request_for(remote))
        session.close()

    asyncio.run(prepare())
    return root


@pytest.fixture
def settings(tmp_path: Path) -> BridgeSettings:
    return settings_in(tmp_path)


def settings_in(root: Path) -> BridgeSettings:
    return BridgeSettings(
        host="127.0.0.1",
        port=0,
        bridge_token=SecretStr("canary-bridge-token"),
        openrouter_api_key=SecretStr("canary-model-key"),
        openrouter_base_url="http://127.0.0.1:9/v1",
        workspace_dir=root / "workspace",
        state_dir=root / "state",
        model_max_attempts=3,
    )


@pytest.fixture
def workspace_request(remote: Path) -> WorkspaceRequest:
    return request_for(remote)


def request_for(remote: Path) -> WorkspaceRequest:
    return WorkspaceRequest(
        repository="acme/demo", clone_url=f"file://{remote}", target_branch="agent/demo"
    )


class RunningSession:
    """One running session, what its model was asked, and the waits it did not have to wait."""

    def __init__(self, session: Session, model: ScriptedModel, waits: list[float]) -> None:
        self.session = session
        self.model = model
        self.waits = waits

    async def events(self, until: Callable[[AgentEvent], bool], after: int = 0) -> list[AgentEvent]:
        """All stored events after this one, to the one that `until` accepts."""
        events: list[AgentEvent] = []
        with self.session.events.follow(after) as follower:
            while True:
                frames = await follower.next(10.0)
                assert frames, f"nothing more came after {[event.type for event in events]}"
                for frame in frames:
                    if frame.seq:
                        events.append(parse_event(frame.data))
                        if until(events[-1]):
                            return events

    async def finished(self, task_id: str) -> list[AgentEvent]:
        return await self.events(
            lambda event: isinstance(event, TaskFinished) and event.task_id == task_id
        )

    async def outcome(self, task_id: str) -> Outcome:
        last = (await self.finished(task_id))[-1]
        assert isinstance(last, TaskFinished)
        return last.outcome


OpenSession = Callable[..., Any]


@pytest.fixture
def open_session(settings: BridgeSettings, prepared: Path) -> OpenSession:
    @asynccontextmanager
    async def running(
        *steps: Step,
        prepare: bool = True,
        elsewhere: Path | None = None,
        settings: BridgeSettings = settings,
    ) -> AsyncIterator[RunningSession]:
        place = settings_in(elsewhere) if elsewhere else settings
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        if prepare:
            shutil.copytree(prepared / "workspace", place.workspace_dir, symlinks=True)
            shutil.copytree(prepared / "state", place.state_dir)
        model = ScriptedModel(steps)
        session = Session(place, model, default_tools(), sleep)
        try:
            async with asyncio.TaskGroup() as group:
                work = group.create_task(session.run())
                yield RunningSession(session, model, waits)
                work.cancel()
        finally:
            session.close()

    return running
