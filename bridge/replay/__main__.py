"""Runs a recorded agent again: the loop is the real one, model and tools answer from the record.

`python -m bridge.replay FILE` reads events as JSON lines. Nothing is sent anywhere.
"""

import asyncio
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydantic import ValidationError

from bridge.agent.compaction import Compaction
from bridge.agent.loop import Executor, Task
from bridge.agent.model_retry import ModelRetry, RetryPolicy
from bridge.errors import BridgeError
from bridge.model.client import ModelRequest
from bridge.model.limits import LARGEST_CONTEXT_TOKENS, ModelLimits
from bridge.model.response import ModelTurn, ToolCall
from bridge.protocol import (
    AgentEvent,
    ChatMode,
    Event,
    MessageTakenUp,
    MessageWritten,
    Outcome,
    StepStarted,
    TaskStarted,
    ToolFinished,
    ToolStarted,
    parse_event,
)
from bridge.replay.recording import (
    Interjection,
    RecordedFailure,
    RecordedTask,
    comparable,
    recorded_tasks,
)
from bridge.state.conversation import Conversation, UserMessage
from bridge.state.event_log import EventLog
from bridge.tools.base import ToolContext, ToolResult
from bridge.tools.call import ToolCalls
from bridge.tools.long_results import KeptResults
from bridge.workspace.filesystem import Workspace

_ATTEMPTS = 1_000  # as many as the record holds
_SHOWN_CHARS = 200
_BROKEN_OFF = (Outcome.INTERRUPTED, Outcome.FAILED)

Say = Callable[[str], None]


class RecordEndedError(Exception):
    """The record holds no more; the task was interrupted there, or is still at work."""


class RecordedModel:
    """A ChatModel that repeats the recorded answers in order."""

    def __init__(self) -> None:
        self.answers: deque[ModelTurn | RecordedFailure] = deque()

    async def complete(self, _request: ModelRequest, on_text: Callable[[str], None]) -> ModelTurn:
        """Returns the next recorded answer; raises RecordEndedError behind the last."""
        if not self.answers:
            raise RecordEndedError
        answer = self.answers.popleft()
        if isinstance(answer, RecordedFailure):
            on_text(answer.text)
            raise answer.error
        on_text(answer.text)
        return answer

    async def limits(self, _model: str) -> ModelLimits:
        """Returns no limit: a summary makes no difference to recorded answers."""
        return ModelLimits(LARGEST_CONTEXT_TOKENS)


class RecordedTools(ToolCalls):
    """Tools that repeat their recorded results in order."""

    def __init__(self, events: EventLog) -> None:
        super().__init__((), events)
        self._log = events
        self.results: deque[tuple[ToolStarted, ToolFinished]] = deque()

    async def run(
        self, task_id: str, call: ToolCall, context: ToolContext, *, begun: bool = False
    ) -> ToolResult:
        """Returns the next recorded result; raises RecordEndedError behind the last."""
        if not self.results:
            raise RecordEndedError
        started, finished = self.results.popleft()
        await self._log.record(started.model_copy(update={"call_id": call.id}))
        await self._log.record(finished.model_copy(update={"call_id": call.id}))
        del task_id, context, begun
        return ToolResult(
            finished.result,
            finished.summary,
            finished.ok,
            finished.exit_code,
            finished.files_touched,
        )


class Replay:
    """Runs one agent's tasks in turn, on a conversation of their own in `folder`."""

    def __init__(self, folder: Path, say: Say) -> None:
        self._say = say
        self._folder = folder
        self._model = RecordedModel()
        self._conversation = Conversation(folder / "conversation.jsonl")
        self._new: list[Event] = []
        self._log = EventLog(folder / "events.jsonl", self._print_event)
        self._results = KeptResults(folder / "results.jsonl")
        self._tools = RecordedTools(self._log)
        policy = RetryPolicy(_ATTEMPTS)
        calls = ModelRetry(
            self._model, self._conversation, self._log, policy=policy, sleep=_do_nothing
        )
        compaction = Compaction(self._model, self._conversation, self._log, calls)
        self._executor = Executor(
            self._conversation, self._log, compaction, self._tools, self._results
        )

    async def run(self, recorded: RecordedTask) -> bool:
        """Runs one task; returns whether everything came out as recorded."""
        self._new.clear()
        self._model.answers = deque(recorded.answers)
        self._tools.results = deque(recorded.results)
        self._say(f"task {recorded.started.task_id}: {_short(recorded.started.text)}")
        self._conversation.append({"role": "user", "content": recorded.started.text})
        outcome = await self._outcome(self._task(recorded))
        self._conversation.answer_open_calls("The record ends here.")
        was = recorded.finished.outcome if recorded.finished else None
        if outcome is None:
            self._say(f"  the record ends here: {was or 'the task was at work'}")
        else:
            self._say(f"  {outcome}")
        return self._compare(recorded, outcome)

    def close(self) -> None:
        """Closes the files."""
        self._log.close()
        self._conversation.close()
        self._results.close()

    async def _outcome(self, task: Task) -> Outcome | None:
        try:
            return await self._executor.run(task)
        except RecordEndedError:
            return None
        except BridgeError as error:
            self._say(f"  {error.code}: {error.message}")
            return Outcome.FAILED

    def _task(self, recorded: RecordedTask) -> Task:
        started = recorded.started
        waiting = deque(recorded.interjections)

        async def take_messages() -> Sequence[UserMessage]:
            taken = waiting.popleft() if waiting else ()
            for interjection in taken:
                await self._log.record(interjection.event)
                self._conversation.append({"role": "user", "content": _text_of(interjection)})
            return [_message(interjection, started) for interjection in taken]

        return Task(
            id=str(started.task_id),
            model=started.model,
            max_steps=started.max_steps,
            take_messages=take_messages,
            show_changes=_do_nothing,
            save_files=_do_nothing,
            record_check=_do_nothing,
            wants_pause=lambda: False,
            context=ToolContext(
                workspace=Workspace(self._folder),
                base_commit="",
                command_timeout_seconds=1.0,
                command_allow=frozenset(),
                home=self._folder,
            ),
            fallback_models=recorded.fallbacks,
        )

    def _print_event(self, event: Event) -> None:
        self._new.append(event)
        match event:
            case StepStarted():
                self._say(f"  step {event.step} of {event.max_steps}")
            case MessageTakenUp():
                self._say(f"    hears: {_short(event.text)}")
            case MessageWritten():
                self._say(f"    says: {_short(event.text)}")
            case ToolFinished():
                mark = "ok" if event.ok else "failed"
                target = f" {event.target}" if event.target else ""
                self._say(_short(f"    {event.tool}{target}: {mark}, {event.summary}"))
            case _:
                pass

    def _compare(self, recorded: RecordedTask, outcome: Outcome | None) -> bool:
        expected, actual = comparable(recorded.events), comparable(self._new)
        was = recorded.finished.outcome if recorded.finished else None
        pairs = zip(expected, actual, strict=False)
        different = next((pair for pair in pairs if pair[0] != pair[1]), None)
        if different is not None:
            problem = _fields(*different)
        elif was is None or (outcome is None and was in _BROKEN_OFF):
            return True  # it ends wherever its record does
        elif len(expected) != len(actual):
            problem = f"{len(expected)} events, now {len(actual)}"
        elif outcome is not was:
            problem = f"it ended as {was}"
        else:
            return True
        self._say(f"  differs from the record: {problem}")
        return False


async def replay(events: Iterable[AgentEvent], say: Say) -> bool:
    """Runs every task of the log again; returns whether all came out as recorded."""
    with tempfile.TemporaryDirectory(prefix="threadsmith-replay-") as folder:
        run = Replay(Path(folder), say)
        try:
            same = [await run.run(task) for task in recorded_tasks(events)]
        finally:
            run.close()
    say(f"{len(same)} tasks, {sum(same)} as recorded")
    return all(same)


def _message(interjection: Interjection, started: TaskStarted) -> UserMessage:
    return UserMessage(
        task_id=interjection.event.message_id,
        text=_text_of(interjection),
        mode=ChatMode.STEER,
        model=interjection.model,
        max_steps=started.max_steps,
    )


def _text_of(interjection: Interjection) -> str:
    """Returns the person's text; the events of earlier bridges name the message alone."""
    return interjection.event.text or f"({interjection.event.message_id})"


def _fields(old: dict[str, object], new: dict[str, object]) -> str:
    if old.get("type") != new.get("type"):
        return f"{old.get('type')} was recorded, now {new.get('type')}"
    names = [name for name in old if old.get(name) != new.get(name)]
    old_values = ", ".join(f"{name}: {_short(str(old[name]))!r}" for name in names[:3])
    new_values = ", ".join(f"{_short(str(new.get(name)))!r}" for name in names[:3])
    return f"{old.get('type')}: {old_values}, now {new_values}"


def _short(text: str) -> str:
    indent = text[: len(text) - len(text.lstrip(" "))]
    line = indent + " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else f"{line[:_SHOWN_CHARS]}…"


async def _do_nothing(*_: object) -> None:
    return


def main(arguments: Sequence[str]) -> int:
    """Replays the events of a file; 0: all came out as recorded, 1: they did not, 2: no record."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m bridge.replay FILE\n")
        return 2
    try:
        lines = Path(arguments[0]).read_text().splitlines()
        events = [parse_event(line) for line in lines if line.strip()]
    except (OSError, ValueError, ValidationError) as error:
        sys.stderr.write(f"{arguments[0]} is no record of events: {str(error).splitlines()[0]}\n")
        return 2
    same = asyncio.run(replay(events, print))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
