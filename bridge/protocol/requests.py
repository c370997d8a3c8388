"""Defines the bot's requests, which the bridge reads strictly: an unknown field is refused."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from bridge.container import is_reserved_variable
from bridge.protocol.limits import (
    MAX_MESSAGE_CHARS,
    MAX_SAVED_RESULT_CHARS,
    MAX_VARIABLES,
    NO_CONTROLS,
    Branch,
    CloneUrl,
    Count,
    Identifier,
    Line,
    ModelName,
    Seq,
    Steps,
    TaskText,
)


class Request(BaseModel):
    """Base of the requests: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class WorkspaceRequest(Request):
    """Clone `clone_url` at `source_branch` (the remote's default when None).

    Without a `clone_url` the workspace is a new repository whose `main` holds one empty commit;
    `repository` says then what the model is told instead of a name.

    `target_branch` is created at that commit, or at `base_commit` where an earlier container of
    the agent began. `clone_url` holds no credential: the bridge adds
    the token of its own environment, for the clone only.
    """

    repository: str = Field(min_length=3, max_length=140, pattern=NO_CONTROLS)
    clone_url: CloneUrl | None = None
    source_branch: Branch | None = None
    target_branch: Branch
    base_commit: str | None = Field(default=None, max_length=64, pattern=r"^[0-9a-f]{40,64}$")
    author_name: str = Field(
        default="Threadsmith", min_length=1, max_length=200, pattern=NO_CONTROLS
    )
    author_email: str = Field(
        default="threadsmith@localhost", min_length=3, max_length=250, pattern=NO_CONTROLS
    )


class PushRequest(Request):
    """Push what is committed to the target branch at `clone_url`, which holds no credential.

    With a `commit_message` everything that is not committed yet becomes a commit first.
    """

    clone_url: CloneUrl
    commit_message: str | None = Field(default=None, min_length=1, max_length=1_000)


class Approvals(StrEnum):
    """A command outside the allow-list is refused, or a person is asked."""

    REFUSE = "refuse"
    ASK = "ask"


class ToolEnvironment(Request):
    """The variables that commands get besides the fixed ones, and no others of an earlier call."""

    variables: dict[
        Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")],
        Annotated[str, Field(max_length=8_000, pattern=r"^[^\x00]*$")],
    ] = Field(max_length=MAX_VARIABLES)

    @field_validator("variables")
    @classmethod
    def _none_is_reserved(cls, variables: dict[str, str]) -> dict[str, str]:
        for name in variables:
            if is_reserved_variable(name):
                raise ValueError(f"{name} is reserved for the sandbox; choose another name")
        return variables


class ExecuteRequest(Request):
    """Start the first task. The same `task_id` again attaches to it, and never runs it twice."""

    task_id: Identifier
    text: TaskText
    model: ModelName
    max_steps: Steps = 15
    author: Line = ""
    approvals: Approvals = Approvals.REFUSE


class ChatMode(StrEnum):
    """A message joins the running task, waits for its end, or interrupts it."""

    STEER = "steer"
    QUEUE = "queue"
    INTERRUPT = "interrupt"  # end the task at work, and do this next


class ChatRequest(Request):
    """The next message of a person.

    `message_id` makes it safe to send twice. `task_id` names the task that the message becomes
    when no task is at work, or when the one at work ends before it could be taken up.
    """

    message_id: Identifier
    task_id: Identifier
    text: TaskText
    mode: ChatMode = ChatMode.STEER
    model: ModelName | None = None
    max_steps: Steps | None = None
    author: Line = ""
    approvals: Approvals = Approvals.REFUSE


class AnswerRequest(Request):
    """POST /agent/answers/{id}: a person's answer; to an approval, an `ApprovalChoice`."""

    answer: TaskText
    author: Line = ""


class TaskRequest(Request):
    """Names the task that is meant, so that a late request does nothing to another one."""

    task_id: Identifier


class MessageEdit(Request):
    """PUT /agent/messages/{id}: the person edited a message that may still wait."""

    text: TaskText


class SavedResult(Request):
    """A tool result that was too long for the conversation, whole."""

    call_id: str = Field(min_length=1, max_length=200)
    text: str = Field(max_length=MAX_SAVED_RESULT_CHARS)


class SavedConversation(Request):
    """GET and PUT /agent/conversation: the state from which a fresh container goes on.

    `messages` are chat-completions messages, the standing instructions included, all of them;
    `summary` is what the model reads in place of those before `summary_upto`. `results` are the
    newest of the long tool results; `waiting` are the messages that no task has taken up. A bridge
    takes it only before its first event, and numbers its events from `last_seq` + 1.
    """

    protocol: int = Field(ge=1, le=10_000)
    last_seq: Seq
    messages: tuple[dict[str, Any], ...] = ()
    summary: str | None = Field(default=None, max_length=MAX_MESSAGE_CHARS)
    summary_upto: Count = 0
    results: tuple[SavedResult, ...] = ()
    waiting: tuple[ChatRequest, ...] = ()
