"""Defines the bridge's immediate answers, in JSON."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from bridge.protocol.limits import (
    MAX_CHANGED_FILES,
    MAX_MODEL_CHARS,
    MAX_TASK_CHARS,
    Count,
    Dollars,
    Identifier,
    Seconds,
    Seq,
    StepNumber,
)
from bridge.protocol.parts import FileChange


class Response(BaseModel):
    """Base of the answers: the reader keeps going when a newer bridge says more."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Health(Response):
    """GET /health."""

    status: Literal["ok"] = "ok"
    protocol: Count
    instance_id: str = Field(max_length=64)


class WorkspaceReady(Response):
    """POST /agent/workspace, once the checkout is there."""

    repository: str = Field(max_length=140)
    source_branch: str = Field(max_length=250)
    target_branch: str = Field(max_length=250)
    base_commit: str = Field(max_length=64)
    duration_seconds: Seconds
    already_there: bool = False


class Disposition(StrEnum):
    """A message started a task, joins the running one, or waits."""

    STARTED = "started"
    STEERING = "steering"
    QUEUED = "queued"


class Accepted(Response):
    """POST /agent/execute or /agent/chat when the caller asked for JSON instead of a stream.

    `position` counts from 1 among the messages that wait; 0 when the task starts at once.
    """

    disposition: Disposition
    task_id: Identifier
    position: Count = 0


class Revised(Response):
    """PUT or DELETE /agent/messages/{id}. `revised` is False when a task has it already."""

    revised: bool


class Pushed(Response):
    """POST /agent/push. `commit` is what the branch holds there now; None when nothing is
    committed. `refusal` says why it was not pushed."""

    commit: str | None = Field(default=None, max_length=64)
    refusal: str = Field(default="", max_length=1_000)


class Answered(Response):
    """POST /agent/answers/{id}. `taken` is False when somebody had answered before: who and what
    is in `author` and `answer` then."""

    taken: bool
    answer: str = Field(default="", max_length=MAX_TASK_CHARS)
    author: str = Field(default="", max_length=1_000)


class Undone(Response):
    """POST /agent/undo. `files` differ from how the task had left them."""

    files: Count


class Attached(Response):
    """PUT /agent/attachments/{name}: where the file lies, relative to the workspace's root."""

    path: str = Field(max_length=300)
    size_bytes: Count


class SessionStatus(StrEnum):
    """The states of a bridge."""

    EMPTY = "empty"
    CLONING = "cloning"
    IDLE = "idle"
    WORKING = "working"
    WAITING = "waiting"  # a task that waits for a person


class Usage(Response):
    """Sums over the model calls so far. `cost_usd` is None until a provider has named a cost."""

    model_calls: Count = 0
    prompt_tokens: Count = 0
    completion_tokens: Count = 0
    cached_tokens: Count = 0
    reasoning_tokens: Count = 0
    cost_usd: Dollars | None = None


class Status(Response):
    """GET /agent/status."""

    status: SessionStatus
    instance_id: str = Field(max_length=64)
    task_id: str | None = Field(default=None, max_length=64)
    model: str | None = Field(default=None, max_length=MAX_MODEL_CHARS)
    step: StepNumber = 0
    max_steps: StepNumber = 0
    queue: Count = 0
    question_id: str | None = Field(default=None, max_length=64)
    last_seq: Seq = 0
    conversation_messages: Count = 0
    usage: Usage = Usage()


class Diff(Response):
    """GET /agent/diff: the workspace against the source branch, uncommitted files included."""

    base_commit: str = Field(max_length=64)
    files: tuple[FileChange, ...] = Field(default=(), max_length=MAX_CHANGED_FILES)
    text: str
    truncated: bool = False
