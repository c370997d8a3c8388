"""Reads recorded tasks from their events: the answers of the model, the results of the tools."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from bridge.errors import ModelError
from bridge.model.response import CallUsage, ModelTurn, ToolCall
from bridge.protocol import (
    AgentEvent,
    CheckRecorded,
    ContextCompacted,
    ErrorCode,
    Event,
    FilesChanged,
    MessageTakenUp,
    MessageWritten,
    ModelChanged,
    ModelRetried,
    Outcome,
    PlanUpdated,
    QuestionAnswered,
    QuestionAsked,
    ReasoningWritten,
    StepStarted,
    TaskFinished,
    TaskPaused,
    TaskResumed,
    TaskStarted,
    ToolFinished,
    ToolStarted,
    UsageRecorded,
    WireError,
)

_VARYING = frozenset({"seq", "at", "duration_seconds", "wait_seconds", "max_attempts"})


@dataclass(frozen=True, slots=True)
class RecordedFailure:
    """A call that failed after this much `text` of an answer had come."""

    error: ModelError
    text: str = ""


@dataclass(frozen=True, slots=True)
class Interjection:
    """A person's message to the task at work, and the model that they chose with it."""

    event: MessageTakenUp
    model: str


@dataclass(frozen=True, slots=True)
class RecordedTask:
    """One task; `answers` and `results` are in the order in which they were given.

    `finished` is None when the record ends before the task does.
    """

    started: TaskStarted
    events: tuple[Event, ...]
    answers: tuple[ModelTurn | RecordedFailure, ...]
    results: tuple[tuple[ToolStarted, ToolFinished], ...]
    fallbacks: tuple[str, ...]
    interjections: tuple[tuple[Interjection, ...], ...]  # before each step
    finished: TaskFinished | None


def recorded_tasks(events: Iterable[AgentEvent]) -> Iterator[RecordedTask]:
    """Returns the tasks of an agent's log, oldest first; events outside of tasks are ignored."""
    started: TaskStarted | None = None
    inside: list[Event] = []
    for event in events:
        if isinstance(event, TaskStarted):
            if started is not None:
                yield _task(started, inside)
            started, inside = event, []
        elif started is not None and event.task_id == started.task_id:
            inside.append(event)
            if isinstance(event, TaskFinished):
                yield _task(started, inside)
                started = None
    if started is not None:
        yield _task(started, inside)


def _task(started: TaskStarted, events: Sequence[Event]) -> RecordedTask:
    last = events[-1] if events else None
    finished = last if isinstance(last, TaskFinished) else None
    answers: list[ModelTurn | RecordedFailure] = []
    step = _RecordedStep()
    for step in _steps(events):
        answers += step.answers()
    if finished is not None and finished.error is not None:
        text = "" if step.usage else step.text
        answers.append(RecordedFailure(_error(finished.error), text))
    elif finished is None or finished.outcome is Outcome.INTERRUPTED:
        is_empty = not step.calls and not step.final
        if is_empty and answers and isinstance(answers[-1], ModelTurn):
            answers.pop()  # the record ends before it says what the answer was
    return RecordedTask(
        started=started,
        events=tuple(events),
        answers=tuple(answers),
        results=tuple(_results(events)),
        fallbacks=tuple(
            event.model for event in events if isinstance(event, ModelChanged) and event.error
        ),
        interjections=tuple(_interjections(started, events)),
        finished=finished,
    )


@dataclass(slots=True)
class _RecordedStep:
    """The events of one model call and its tools."""

    failures: list[RecordedFailure] = field(default_factory=list)
    usage: UsageRecorded | None = None
    text: str = ""
    reasoning: str = ""
    final: bool = False
    calls: list[ToolStarted] = field(default_factory=list)

    def add_event(self, event: Event) -> None:
        match event:
            case ModelRetried():
                error = _error(event.error)
                again = ModelError(error.code, error.message, retryable=True)
                self.failures.append(RecordedFailure(again))
            case ModelChanged(error=wire) if wire is not None:
                self.failures.append(RecordedFailure(_error(wire), self.text))
                self.text = ""
            case ContextCompacted():
                self.usage = None  # the summary's own
            case UsageRecorded():
                self.usage = event
            case ReasoningWritten():
                self.reasoning = event.text
            case MessageWritten():
                self.text, self.final = event.text, event.final
            case ToolStarted():
                self.calls.append(event)
            case _:
                pass

    def answers(self) -> list[ModelTurn | RecordedFailure]:
        if self.usage is None:
            return list(self.failures)
        calls = tuple(ToolCall(call.call_id, call.tool, call.arguments) for call in self.calls)
        usage = self.usage
        turn = ModelTurn(
            text=self.text,
            tool_calls=calls,
            reasoning=self.reasoning,
            # The parts of a cut answer are written as one text, in the step that ends it.
            cut_off=not calls and not self.final,
            model=usage.model,
            provider=usage.provider,
            generation_id=usage.generation_id,
            usage=CallUsage(
                usage.prompt_tokens,
                usage.completion_tokens,
                usage.cached_tokens,
                usage.reasoning_tokens,
                usage.cost_usd,
            ),
        )
        return [*self.failures, turn]


def _steps(events: Iterable[Event]) -> Iterator[_RecordedStep]:
    step: _RecordedStep | None = None
    for event in events:
        if isinstance(event, StepStarted):
            if step is not None:
                yield step
            step = _RecordedStep()
        elif step is not None:
            step.add_event(event)
    if step is not None:
        yield step


def _results(events: Iterable[Event]) -> Iterator[tuple[ToolStarted, ToolFinished]]:
    open_call: ToolStarted | None = None
    for event in events:
        if isinstance(event, ToolStarted):
            open_call = event
        elif isinstance(event, ToolFinished) and open_call is not None:
            yield open_call, event
            open_call = None


def _interjections(
    started: TaskStarted, events: Iterable[Event]
) -> Iterator[tuple[Interjection, ...]]:
    model = started.model
    taken: list[Interjection] = []
    for event in events:
        if isinstance(event, MessageTakenUp):
            taken.append(Interjection(event, model))
        elif isinstance(event, ModelChanged) and event.error is None and taken:
            model = event.model
            taken[-1] = Interjection(taken[-1].event, model)
        elif isinstance(event, StepStarted):
            yield tuple(taken)
            taken.clear()


def _error(error: WireError) -> ModelError:
    known = error.code in set(ErrorCode)
    return ModelError(ErrorCode(error.code) if known else ErrorCode.INTERNAL, error.message)


def comparable(events: Sequence[Event]) -> list[dict[str, object]]:
    """Returns the events that a replay has to repeat, without the fields that differ between runs.

    Left out are changes of files, usage of summaries, and events that people and the bridge record
    beside the loop; the end of the task is compared by its outcome.
    """
    kept: list[Event] = []
    for event in events:
        match event:
            case ContextCompacted():
                while kept and isinstance(kept[-1], UsageRecorded):
                    kept.pop()
            case FilesChanged() | TaskFinished() | PlanUpdated() | CheckRecorded():
                pass
            case QuestionAsked() | QuestionAnswered() | TaskPaused() | TaskResumed():
                pass
            case _:
                kept.append(event)
    return [event.model_dump(mode="json", exclude=set(_VARYING)) for event in kept]
