"""Describes the numbered facts that the bridge tells; a reader keeps also those unknown to it."""

import time
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter

from bridge.protocol.errors import WireError
from bridge.protocol.limits import (
    MAX_CHANGED_FILES,
    MAX_MESSAGE_CHARS,
    MAX_MODEL_CHARS,
    MAX_RESULT_CHARS,
    MAX_TASK_CHARS,
    Count,
    Dollars,
    ExitCode,
    FilePath,
    Identifier,
    Moment,
    Seconds,
    Seq,
    StepNumber,
)
from bridge.protocol.parts import (
    MAX_OPTIONS,
    MAX_PLAN_ITEMS,
    MAX_QUESTION_CHARS,
    CheckRun,
    Evidence,
    FileChange,
    Option,
    PlanItem,
    QuestionKind,
)


class Event(BaseModel):
    """Base of the events: one immutable fact. `at` is in seconds since the epoch, UTC.

    Stored events carry a gapless `seq` from 1; events that are only passing by (`text_delta`,
    `tool_output`) carry 0 and are not replayed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
    seq: Seq = 0
    at: Moment = Field(default_factory=time.time)
    task_id: str | None = Field(default=None, max_length=64)


class WorkspaceCloning(Event):
    """The clone began."""

    type: Literal["workspace_cloning"] = "workspace_cloning"
    repository: str = Field(max_length=140)
    source_branch: str | None = Field(default=None, max_length=250)


class WorkspaceReadyEvent(Event):
    """The checkout is there and the target branch exists."""

    type: Literal["workspace_ready"] = "workspace_ready"
    repository: str = Field(max_length=140)
    source_branch: str = Field(max_length=250)
    target_branch: str = Field(max_length=250)
    base_commit: str = Field(max_length=64)
    duration_seconds: Seconds


class TaskStarted(Event):
    """A task began; `message_id` is the message that it came from, if it came from a reply."""

    type: Literal["task_started"] = "task_started"
    text: str = Field(max_length=MAX_TASK_CHARS)
    model: str = Field(max_length=MAX_MODEL_CHARS)
    max_steps: StepNumber
    message_id: str | None = Field(default=None, max_length=64)


class MessageTakenUp(Event):
    """A person's message reached the running task: the next model call contains it.

    `text` is what they said; bridges of earlier images leave it empty.
    """

    type: Literal["message_taken_up"] = "message_taken_up"
    message_id: str = Field(max_length=64)
    text: str = Field(default="", max_length=MAX_TASK_CHARS)


class StepStarted(Event):
    """A model call is about to be made. `step` counts from 1 within the task."""

    type: Literal["step_started"] = "step_started"
    step: StepNumber
    max_steps: StepNumber


class TextDelta(Event):
    """A fragment of the model's text. Not stored."""

    type: Literal["text_delta"] = "text_delta"
    text: str = Field(max_length=MAX_MESSAGE_CHARS)


class ReasoningWritten(Event):
    """The reasoning of one model call, whole."""

    type: Literal["reasoning_written"] = "reasoning_written"
    text: str = Field(max_length=MAX_MESSAGE_CHARS)


class MessageWritten(Event):
    """The text of one model call, whole. `final`: no tool call came with it."""

    type: Literal["message_written"] = "message_written"
    text: str = Field(max_length=MAX_MESSAGE_CHARS)
    final: bool


class ToolStarted(Event):
    """A tool call is about to run. `target` is the file, pattern or command, for display."""

    type: Literal["tool_started"] = "tool_started"
    call_id: str = Field(max_length=200)
    tool: str = Field(max_length=64)
    target: str = Field(max_length=300)
    arguments: str = Field(max_length=MAX_RESULT_CHARS)


class ToolOutput(Event):
    """Output of a running command. Not stored."""

    type: Literal["tool_output"] = "tool_output"
    call_id: str = Field(max_length=200)
    text: str = Field(max_length=MAX_MESSAGE_CHARS)


class ToolFinished(Event):
    """A tool call ended. `result` is what the model reads, cut for display; `summary` is a few
    words ("6 matches in 3 files"). `files_touched` are paths relative to the workspace."""

    type: Literal["tool_finished"] = "tool_finished"
    call_id: str = Field(max_length=200)
    tool: str = Field(max_length=64)
    target: str = Field(max_length=300)
    ok: bool
    summary: str = Field(max_length=300)
    exit_code: ExitCode | None = None
    duration_seconds: Seconds
    result: str = Field(max_length=MAX_RESULT_CHARS)
    files_touched: tuple[FilePath, ...] = Field(default=(), max_length=1_000)


class UsageRecorded(Event):
    """Usage of one model call. `cost_usd` is None where the provider names no cost."""

    type: Literal["usage_recorded"] = "usage_recorded"
    model: str = Field(max_length=MAX_MODEL_CHARS)
    provider: str | None = Field(default=None, max_length=200)
    generation_id: str | None = Field(default=None, max_length=200)
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cached_tokens: Count = 0
    reasoning_tokens: Count = 0
    cost_usd: Dollars | None = None


class FilesChanged(Event):
    """The workspace against the source branch, after a step that may have changed it."""

    type: Literal["files_changed"] = "files_changed"
    files: tuple[FileChange, ...] = Field(max_length=MAX_CHANGED_FILES)


class ModelRetried(Event):
    """A model call failed in a way that may pass; the next try comes after `wait_seconds`."""

    type: Literal["model_retried"] = "model_retried"
    attempt: Count
    max_attempts: Count
    wait_seconds: Seconds
    error: WireError


class ModelChanged(Event):
    """From the next call on another model answers: the person said so (`error` is None), or the
    one before is unavailable because of `error`."""

    type: Literal["model_changed"] = "model_changed"
    model: str = Field(max_length=MAX_MODEL_CHARS)
    previous: str = Field(max_length=MAX_MODEL_CHARS)
    error: WireError | None = None


class ContextCompacted(Event):
    """A summary stands for the older part of the conversation from now on.

    Tokens are estimates of the next prompt. `by_model`: the model wrote it; otherwise the bridge
    put it together, because the model had none to give. Nothing is lost on the disk.
    """

    type: Literal["context_compacted"] = "context_compacted"
    messages_left_out: Count
    tokens_before: Count
    tokens_after: Count
    by_model: bool
    summary: str = Field(max_length=MAX_MESSAGE_CHARS)


class Outcome(StrEnum):
    """The ways in which a task can end."""

    COMPLETED = "completed"
    STEP_LIMIT = "step_limit"
    BUDGET_LIMIT = "budget_limit"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class TaskFinished(Event):
    """A task ended; the session is idle and usable.

    `error` is set when it failed, and when a budget is used: which one.
    """

    type: Literal["task_finished"] = "task_finished"
    outcome: Outcome
    steps: StepNumber
    duration_seconds: Seconds
    error: WireError | None = None
    evidence: Evidence = Evidence()


class PlanUpdated(Event):
    """The model's plan for the task, whole; it replaces the one before."""

    type: Literal["plan_updated"] = "plan_updated"
    items: tuple[PlanItem, ...] = Field(max_length=MAX_PLAN_ITEMS)


class QuestionAsked(Event):
    """The task waits for a person, for as long as it takes.

    Of a question, `text` is what is asked and `options` what may be clicked. Of an approval, `text`
    is the command as one line, and `fingerprint` stands for exactly these arguments in exactly
    `working_directory`.
    """

    type: Literal["question_asked"] = "question_asked"
    question_id: Identifier
    call_id: str = Field(max_length=200)
    kind: QuestionKind
    text: str = Field(max_length=MAX_QUESTION_CHARS)
    options: tuple[Option, ...] = Field(default=(), max_length=MAX_OPTIONS)
    step: StepNumber = 0
    fingerprint: str = Field(default="", max_length=64)
    working_directory: str = Field(default="", max_length=1_000)
    reason: str = Field(default="", max_length=1_000)


class QuestionAnswered(Event):
    """A person answered, and the task goes on.

    `message_id` is set when it was an ordinary message: the next model call contains it, and a
    command that needed leave is not run.
    """

    type: Literal["question_answered"] = "question_answered"
    question_id: Identifier
    kind: QuestionKind
    answer: str = Field(default="", max_length=MAX_TASK_CHARS)
    author: str = Field(default="", max_length=1_000)
    fingerprint: str = Field(default="", max_length=64)
    message_id: str | None = Field(default=None, max_length=64)


class TaskPaused(Event):
    """The task waits before its next model call until a person lets it go on."""

    type: Literal["task_paused"] = "task_paused"
    step: StepNumber


class TaskResumed(Event):
    """A paused task goes on."""

    type: Literal["task_resumed"] = "task_resumed"


class CheckRecorded(Event):
    """The bridge saw a check end. `tree` is git's name of the files as they were right after it."""

    type: Literal["check_recorded"] = "check_recorded"
    check: CheckRun
    tree: str = Field(default="", max_length=64)


class TaskUndone(Event):
    """The workspace is as it was before this task; so many files differ from how it left them."""

    type: Literal["task_undone"] = "task_undone"
    undone_task_id: Identifier
    files: Count = 0


class UnknownEvent(Event):
    """An event of a newer bridge, kept with its fields as they came."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)
    type: str = Field(max_length=64)


KNOWN_EVENTS: tuple[type[Event], ...] = (
    WorkspaceCloning, WorkspaceReadyEvent, TaskStarted, MessageTakenUp, StepStarted, TextDelta,
    ReasoningWritten, MessageWritten, ToolStarted, ToolOutput, ToolFinished, UsageRecorded,
    FilesChanged, ModelRetried, ModelChanged, ContextCompacted, PlanUpdated, QuestionAsked,
    QuestionAnswered, TaskPaused, TaskResumed, CheckRecorded, TaskFinished, TaskUndone,
)  # fmt: skip


def kind_of(event: type[Event]) -> str:
    """Return the `type` that every event of this class carries."""
    return str(event.model_fields["type"].default)


_KNOWN_TYPES = frozenset(kind_of(event) for event in KNOWN_EVENTS)


def _tag(value: Any) -> str:  # noqa: ANN401  (pydantic hands over whatever arrived)
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return kind if isinstance(kind, str) and kind in _KNOWN_TYPES else "unknown"


AgentEvent = Annotated[
    Annotated[WorkspaceCloning, Tag("workspace_cloning")]
    | Annotated[WorkspaceReadyEvent, Tag("workspace_ready")]
    | Annotated[TaskStarted, Tag("task_started")]
    | Annotated[MessageTakenUp, Tag("message_taken_up")]
    | Annotated[StepStarted, Tag("step_started")]
    | Annotated[TextDelta, Tag("text_delta")]
    | Annotated[ReasoningWritten, Tag("reasoning_written")]
    | Annotated[MessageWritten, Tag("message_written")]
    | Annotated[ToolStarted, Tag("tool_started")]
    | Annotated[ToolOutput, Tag("tool_output")]
    | Annotated[ToolFinished, Tag("tool_finished")]
    | Annotated[UsageRecorded, Tag("usage_recorded")]
    | Annotated[FilesChanged, Tag("files_changed")]
    | Annotated[ModelRetried, Tag("model_retried")]
    | Annotated[ModelChanged, Tag("model_changed")]
    | Annotated[ContextCompacted, Tag("context_compacted")]
    | Annotated[PlanUpdated, Tag("plan_updated")]
    | Annotated[QuestionAsked, Tag("question_asked")]
    | Annotated[QuestionAnswered, Tag("question_answered")]
    | Annotated[TaskPaused, Tag("task_paused")]
    | Annotated[TaskResumed, Tag("task_resumed")]
    | Annotated[CheckRecorded, Tag("check_recorded")]
    | Annotated[TaskFinished, Tag("task_finished")]
    | Annotated[TaskUndone, Tag("task_undone")]
    | Annotated[UnknownEvent, Tag("unknown")],
    Discriminator(_tag),
]

_ADAPTER: TypeAdapter[AgentEvent] = TypeAdapter(AgentEvent)


def parse_event(data: str | bytes) -> AgentEvent:
    """Read one event from JSON.

    Raises pydantic.ValidationError when a known event does not fit its shape.
    """
    return _ADAPTER.validate_json(data)


def unreadable_event(seq: int) -> UnknownEvent:
    """Return what stands for an event that cannot be read, so that the numbers stay whole."""
    return UnknownEvent(seq=seq, type="invalid_event")
