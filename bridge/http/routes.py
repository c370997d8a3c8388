"""Lists the routes of the bridge: what each reads and answers, and the errors of its own.

tests/unit/bridge/http/test_openapi.py compares this with the routes that the server has.
"""

from dataclasses import dataclass

from pydantic import BaseModel

from bridge.protocol import (
    Accepted,
    Answered,
    AnswerRequest,
    Attached,
    ChatRequest,
    Diff,
    ErrorCode,
    ExecuteRequest,
    Health,
    MessageEdit,
    Pushed,
    PushRequest,
    Revised,
    SavedConversation,
    Status,
    TaskRequest,
    ToolEnvironment,
    Undone,
    WorkspaceReady,
    WorkspaceRequest,
)

PATCH, EVENTS = "text/x-patch", "text/event-stream"
BYTES = "application/octet-stream"

_NO_WORKSPACE = (ErrorCode.WORKSPACE_MISSING,)
_PLACE = ("last_event_id", "after")


@dataclass(frozen=True)
class Route:
    """Describes one route. `request` and `answer` are a model, or a media type other than JSON.

    `errors` are those of its own. `streams`: it answers with events, or, where `answer` is a model
    too, does so for callers that do not ask for JSON. `parameters` are names in openapi.py.
    """

    method: str
    path: str
    does: str
    answer: type[BaseModel] | str
    request: type[BaseModel] | str | None = None
    errors: tuple[ErrorCode, ...] = ()
    status: int = 200
    parameters: tuple[str, ...] = ()
    streams: bool = False
    needs_token: bool = True


ROUTES = (
    Route(
        "get", "/health", "Whether the bridge answers; needs no token.", Health, needs_token=False
    ),
    Route(
        "post", "/agent/workspace", "Clone the repository, or find the clone.",
        WorkspaceReady, WorkspaceRequest,
        errors=(
            ErrorCode.WORKSPACE_CONFLICT, ErrorCode.REPOSITORY_NOT_FOUND,
            ErrorCode.BRANCH_NOT_FOUND, ErrorCode.CLONE_FAILED, ErrorCode.CLONE_TIMEOUT,
            ErrorCode.NO_SPACE,
        ),
    ),
    Route(
        "post", "/agent/execute",
        "Start the first task. With `Accept: application/json` it answers at once, else with the "
        "events of the task until it ends. The same `task_id` again attaches to it.",
        Accepted, ExecuteRequest, status=202, streams=True, parameters=_PLACE,
        errors=(*_NO_WORKSPACE, ErrorCode.QUEUE_FULL, ErrorCode.NO_SPACE),
    ),
    Route(
        "post", "/agent/chat",
        "The next message of a person. Where it starts a task it answers like execute; where it "
        "joins the task at work, or waits, in JSON at once.",
        Accepted, ChatRequest, status=202, streams=True, parameters=_PLACE,
        errors=(*_NO_WORKSPACE, ErrorCode.QUEUE_FULL, ErrorCode.NO_SPACE),
    ),
    Route(
        "put", "/agent/messages/{id}", "Change a message that waits.", Revised, MessageEdit,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.NO_SPACE), parameters=("id",),
    ),
    Route(
        "delete", "/agent/messages/{id}", "Withdraw a message that waits.", Revised,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.NO_SPACE), parameters=("id",),
    ),
    Route(
        "get", "/agent/conversation",
        "The conversation, for the next container; its oldest part is left out beyond 32 MiB.",
        SavedConversation,
    ),
    Route(
        "put", "/agent/conversation", "Go on with a conversation, before anything else.",
        Status, SavedConversation, errors=(ErrorCode.WORKSPACE_CONFLICT, ErrorCode.NO_SPACE),
    ),
    Route(
        "put", "/agent/environment",
        "Give commands these variables and none of an earlier call; kept in memory alone.",
        Status, ToolEnvironment,
    ),
    Route("get", "/agent/status", "What the bridge is doing.", Status),
    Route(
        "get", "/agent/events", "Every event after the named one, and then those that come.",
        EVENTS, parameters=_PLACE, streams=True,
    ),
    Route(
        "get", "/agent/ws",
        "The same as WebSocket messages. Whoever sends anything but control frames is closed: "
        "1003 for a message, 1009 for one beyond 4096 bytes, 1007 for text that is no UTF-8, 1002 "
        "for what is no frame. The bridge closes with 1001 when it ends.",
        "", parameters=_PLACE, status=101, streams=True,
    ),
    Route(
        "post", "/agent/interrupt", "End the task at work. Messages that wait are kept.", Status
    ),
    Route(
        "post", "/agent/pause",
        "Let the task wait before its next model call, until it is resumed or a message comes.",
        Status, TaskRequest, errors=(ErrorCode.NOT_FOUND,),
    ),
    Route(
        "post", "/agent/resume", "Let a paused task go on.", Status, TaskRequest,
        errors=(ErrorCode.NOT_FOUND, ErrorCode.NO_SPACE),
    ),
    Route(
        "post", "/agent/answers/{id}",
        "Answer the question that the task waits for; the first answer counts. An approval takes "
        "`approve_once`, `approve_agent` or `refuse`.",
        Answered, AnswerRequest, errors=(ErrorCode.NOT_FOUND, ErrorCode.NO_SPACE),
        parameters=("question_id",),
    ),
    Route(
        "post", "/agent/undo",
        "Put the files back to before the last task. What it committed is taken back by a commit.",
        Undone, TaskRequest,
        errors=(
            *_NO_WORKSPACE, ErrorCode.WORKSPACE_CONFLICT, ErrorCode.NOT_FOUND, ErrorCode.NO_SPACE,
        ),
    ),
    Route(
        "put", "/agent/attachments/{name}",
        "Put a file that a person attached into the workspace, at most 8 MiB; it is no part of the "
        "changes. The same name again replaces it.",
        Attached, BYTES, errors=(*_NO_WORKSPACE, ErrorCode.NO_SPACE), parameters=("name",),
    ),
    Route(
        "get", "/agent/diff", "What changed against the source branch.", Diff, errors=_NO_WORKSPACE
    ),
    Route(
        "post", "/agent/push",
        "Push what is committed to the target branch, never by force; all else is committed first "
        "when the request has a message for it.",
        Pushed, PushRequest, errors=_NO_WORKSPACE,
    ),
    Route(
        "get", "/agent/patch", "The changes, as `git apply` takes them.", PATCH,
        errors=(*_NO_WORKSPACE, ErrorCode.TOO_LARGE),
    ),
    Route(
        "put", "/agent/patch",
        "Put the changes of an earlier container into a fresh workspace, once; an empty body takes "
        "back those that still wait for one.",
        Status, PATCH, errors=(ErrorCode.WORKSPACE_CONFLICT, ErrorCode.NO_SPACE),
    ),
)  # fmt: skip
