"""The wire contract between the bot and the bridge: requests, answers, events, error codes.

The bot imports this module, so it needs pydantic and nothing else of ours. Requests are read
strictly (an unknown field is refused); events are read tolerantly, because a container outlives
an upgrade of the bot: an event type or field that the reader does not know is kept, not refused.
"""

import time
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter

PROTOCOL_VERSION = 1
PORT = 3001

# Bounds of what crosses the wire. The reader enforces them too: the container is untrusted.
MAX_TASK_CHARS = 40_000
MAX_RESULT_CHARS = 8_000
MAX_MESSAGE_CHARS = 200_000
MAX_FRAME_BYTES = 1_048_576

Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
TaskText = Annotated[str, Field(min_length=1, max_length=MAX_TASK_CHARS)]
Line = Annotated[str, Field(max_length=1_000)]
Steps = Annotated[int, Field(ge=1, le=1_000)]


class ErrorCode(StrEnum):
    """Every error that the bridge may report; a reader treats an unknown code as `internal`."""

    UNAUTHORIZED = "unauthorized"
    INVALID_REQUEST = "invalid_request"
    NOT_FOUND = "not_found"
    WORKSPACE_MISSING = "workspace_missing"
    WORKSPACE_CONFLICT = "workspace_conflict"
    REPOSITORY_NOT_FOUND = "repository_not_found"
    BRANCH_NOT_FOUND = "branch_not_found"
    CLONE_FAILED = "clone_failed"
    CLONE_TIMEOUT = "clone_timeout"
    NO_SPACE = "no_space"
    QUEUE_FULL = "queue_full"
    MODEL_AUTH = "model_auth"
    MODEL_PAYMENT = "model_payment"
    BUDGET_USED = "budget_used"
    DAY_BUDGET_USED = "day_budget_used"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_REFUSED = "model_refused"
    MODEL_RATE_LIMITED = "model_rate_limited"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_TIMEOUT = "model_timeout"
    MODEL_BAD_ANSWER = "model_bad_answer"
    CONTEXT_OVERFLOW = "context_overflow"
    INTERNAL = "internal"


class WireError(BaseModel):
    """One error as it travels: a code of the closed set and a sentence for people."""

    model_config = ConfigDict(frozen=True)
    code: str = Field(max_length=64)
    message: str = Field(max_length=2_000)


# ---- Requests (the bridge reads them strictly) ----


class Request(BaseModel):
    """Base of the requests: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkspaceRequest(Request):
    """Clone `clone_url` at `source_branch` (the remote's default when None).

    `target_branch` is created at that commit, or at `base_commit` where an earlier container of
    the agent began. `clone_url` holds no credential: the bridge adds
    the token of its own environment, for the clone only.
    """

    repository: str = Field(min_length=3, max_length=140)
    clone_url: str = Field(min_length=8, max_length=2_000, pattern=r"^(https?|file)://[^@\s]+$")
    source_branch: str | None = Field(default=None, min_length=1, max_length=250)
    target_branch: str = Field(min_length=1, max_length=250)
    base_commit: str | None = Field(default=None, pattern=r"^[0-9a-f]{40,64}$")
    author_name: str = Field(default="Threadsmith", min_length=1, max_length=200)
    author_email: str = Field(default="threadsmith@localhost", min_length=3, max_length=250)


class PushRequest(Request):
    """Push what is committed to the target branch at `clone_url`, which holds no credential."""

    clone_url: str = Field(min_length=8, max_length=2_000, pattern=r"^(https?|file)://[^@\s]+$")


class ExecuteRequest(Request):
    """Start the first task. The same `task_id` again attaches to it, and never runs it twice."""

    task_id: Identifier
    text: TaskText
    model: str = Field(min_length=1, max_length=200)
    max_steps: Steps = 15
    author: Line = ""


class ChatMode(StrEnum):
    """What a message does to a task that is at work."""

    STEER = "steer"
    QUEUE = "queue"


class ChatRequest(Request):
    """The next message of a person.

    `message_id` makes it safe to send twice. `task_id` names the task that the message becomes
    when no task is at work, or when the one at work ends before it could be taken up.
    """

    message_id: Identifier
    task_id: Identifier
    text: TaskText
    mode: ChatMode = ChatMode.STEER
    model: str | None = Field(default=None, min_length=1, max_length=200)
    max_steps: Steps | None = None
    author: Line = ""


class Revision(Request):
    """PUT /agent/messages/{id}: the person edited a message that may still wait."""

    text: TaskText


class SavedConversation(Request):
    """GET and PUT /agent/conversation: what lets a fresh container go on.

    `messages` are chat-completions messages, the standing instructions included; `waiting` are
    the messages that no task has taken up. A bridge takes it only before its first event, and
    numbers its events from `last_seq` + 1.
    """

    protocol: int
    last_seq: int = Field(ge=0)
    messages: tuple[dict[str, Any], ...] = ()
    waiting: tuple[ChatRequest, ...] = ()


# ---- Answers ----


class Answer(BaseModel):
    """Base of the answers: the reader keeps going when a newer bridge says more."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Health(Answer):
    """GET /health."""

    status: Literal["ok"] = "ok"
    protocol: int
    instance_id: str = Field(max_length=64)


class WorkspaceReady(Answer):
    """POST /agent/workspace, once the checkout is there."""

    repository: str = Field(max_length=140)
    source_branch: str = Field(max_length=250)
    target_branch: str = Field(max_length=250)
    base_commit: str = Field(max_length=64)
    duration_seconds: float
    already_there: bool = False


class Disposition(StrEnum):
    """What became of a message: it started a task, joins the running one, or waits."""

    STARTED = "started"
    STEERING = "steering"
    QUEUED = "queued"


class Accepted(Answer):
    """POST /agent/execute or /agent/chat when the caller asked for JSON instead of a stream.

    `position` counts from 1 among the messages that wait; 0 when the task starts at once.
    """

    disposition: Disposition
    task_id: Identifier
    position: int = 0


class Revised(Answer):
    """PUT or DELETE /agent/messages/{id}. `revised` is False when a task has it already."""

    revised: bool


class Pushed(Answer):
    """POST /agent/push. `commit` is what the branch holds there now; None when nothing is
    committed. `refusal` says why it was not pushed."""

    commit: str | None = Field(default=None, max_length=64)
    refusal: str = Field(default="", max_length=1_000)


class SessionStatus(StrEnum):
    """What the bridge is doing."""

    EMPTY = "empty"
    CLONING = "cloning"
    IDLE = "idle"
    WORKING = "working"


class Usage(Answer):
    """Sums over the model calls so far. `cost_usd` is None until a provider has named a cost."""

    model_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None


class Status(Answer):
    """GET /agent/status."""

    status: SessionStatus
    instance_id: str = Field(max_length=64)
    task_id: str | None = None
    model: str | None = None
    step: int = 0
    max_steps: int = 0
    queue: int = 0
    last_seq: int = 0
    conversation_messages: int = 0
    usage: Usage = Usage()


class FileChange(Answer):
    """One file against the source branch. Counts are lines; both are 0 for a binary file."""

    path: str = Field(max_length=4_096)
    status: Literal["added", "modified", "deleted", "renamed", "untracked"]
    added: int = 0
    removed: int = 0


class Diff(Answer):
    """GET /agent/diff: the workspace against the source branch, uncommitted files included."""

    base_commit: str = Field(max_length=64)
    files: tuple[FileChange, ...] = Field(default=(), max_length=5_000)
    text: str
    truncated: bool = False


# ---- Events ----


class Event(BaseModel):
    """Base of the events: one immutable fact. `at` is in seconds since the epoch, UTC.

    Stored events carry a gapless `seq` from 1; events that are only passing by (`text_delta`,
    `tool_output`) carry 0 and are not replayed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    seq: int = 0
    at: float = Field(default_factory=time.time)
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
    duration_seconds: float


class TaskStarted(Event):
    """A task began; `message_id` is the message that it came from, if it came from a reply."""

    type: Literal["task_started"] = "task_started"
    text: str = Field(max_length=MAX_TASK_CHARS)
    model: str = Field(max_length=200)
    max_steps: int
    message_id: str | None = Field(default=None, max_length=64)


class MessageTakenUp(Event):
    """A person's message reached the running task: the next model call contains it."""

    type: Literal["message_taken_up"] = "message_taken_up"
    message_id: str = Field(max_length=64)


class StepStarted(Event):
    """A model call is about to be made. `step` counts from 1 within the task."""

    type: Literal["step_started"] = "step_started"
    step: int
    max_steps: int


class TextDelta(Event):
    """A fragment of the model's text. Not stored."""

    type: Literal["text_delta"] = "text_delta"
    text: str


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
    text: str


class ToolFinished(Event):
    """A tool call ended. `result` is what the model reads, cut for display; `summary` is a few
    words ("6 matches in 3 files"). `files_touched` are paths relative to the workspace."""

    type: Literal["tool_finished"] = "tool_finished"
    call_id: str = Field(max_length=200)
    tool: str = Field(max_length=64)
    target: str = Field(max_length=300)
    ok: bool
    summary: str = Field(max_length=300)
    exit_code: int | None = None
    duration_seconds: float
    result: str = Field(max_length=MAX_RESULT_CHARS)
    files_touched: tuple[str, ...] = Field(default=(), max_length=1_000)


class UsageRecorded(Event):
    """What one model call used. `cost_usd` is None where the provider names no cost."""

    type: Literal["usage_recorded"] = "usage_recorded"
    model: str = Field(max_length=200)
    provider: str | None = Field(default=None, max_length=200)
    generation_id: str | None = Field(default=None, max_length=200)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost_usd: float | None = None


class FilesChanged(Event):
    """The workspace against the source branch, after a step that may have changed it."""

    type: Literal["files_changed"] = "files_changed"
    files: tuple[FileChange, ...] = Field(max_length=5_000)


class ModelRetried(Event):
    """A model call failed in a way that may pass; the next try comes after `wait_seconds`."""

    type: Literal["model_retried"] = "model_retried"
    attempt: int
    max_attempts: int
    wait_seconds: float
    error: WireError


class Outcome(StrEnum):
    """How a task ended."""

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
    steps: int
    duration_seconds: float
    error: WireError | None = None


class UnknownEvent(Event):
    """An event of a newer bridge, kept with its fields as they came."""

    model_config = ConfigDict(frozen=True, extra="allow")
    type: str = Field(max_length=64)


KNOWN_EVENTS: tuple[type[Event], ...] = (
    WorkspaceCloning, WorkspaceReadyEvent, TaskStarted, MessageTakenUp, StepStarted, TextDelta,
    ReasoningWritten, MessageWritten, ToolStarted, ToolOutput, ToolFinished, UsageRecorded,
    FilesChanged, ModelRetried, TaskFinished,
)  # fmt: skip
_KNOWN_TYPES = frozenset(str(event.model_fields["type"].default) for event in KNOWN_EVENTS)


def _tag(value: Any) -> str:  # noqa: ANN401  (pydantic hands over whatever arrived)
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return str(kind) if kind in _KNOWN_TYPES else "unknown"


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
    | Annotated[TaskFinished, Tag("task_finished")]
    | Annotated[UnknownEvent, Tag("unknown")],
    Discriminator(_tag),
]

_ADAPTER: TypeAdapter[AgentEvent] = TypeAdapter(AgentEvent)


def parse_event(data: str | bytes) -> AgentEvent:
    """Read one event from JSON.

    Raises pydantic.ValidationError when a known event does not fit its shape.
    """
    return _ADAPTER.validate_json(data)
