"""Describes posts: the content that a thread should show, and the state of sending it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

ROOT_KEY = "root"


class PostKind(StrEnum):
    """The kind of a post: a message, a reaction on a message, or a file."""

    MESSAGE = "message"
    REACTION = "reaction"
    FILE = "file"


class Priority(IntEnum):
    """The order of posts when the budget of a channel is short; lower goes first."""

    ANSWER = 0
    NOTICE = 1
    REACTION = 2
    PROGRESS = 3


@dataclass(frozen=True, slots=True)
class Post:
    """The content that a thread should show under one key.

    The same key enqueued again replaces the content: a message is edited in place, a reaction
    is added or removed (`present`). The sender makes Slack agree with the newest content, so
    progress is coalesced by itself. `key` is unique within the agent.

    `beneath`: it notifies nobody. It is shown below the newest message that ended something in the
    thread, by an edit of that one; where there is none, it is a message of its own.

    payload, by kind: message {text, blocks, plain}, where `plain` are the blocks for a workspace
    that does not take the others; reaction {ts, name, present}; file {name, title,
    content_base64, comment}. A message with an empty `thread_ts` starts a thread.
    """

    key: str
    kind: PostKind
    channel: str
    thread_ts: str | None
    priority: Priority
    payload: Mapping[str, Any] = field(default_factory=dict)
    beneath: bool = False


@dataclass(frozen=True, slots=True)
class OpenRow:
    """A post that Slack does not agree with yet, without its content.

    `state` is pending, or sending or unknown: then it may have arrived. `thread_ts` is None while
    the thread is unknown, `ts` while the post has never arrived; `root_error` is why the thread
    will never exist. `position` orders the posts of an agent. `shared`: it is shown beneath another
    post, whose `ts` it has; `waits_for_host`: that one is still on its way.
    """

    id: str
    agent_id: str
    key: str
    kind: PostKind
    channel: str
    priority: Priority
    position: int
    state: str
    thread_ts: str | None
    ts: str | None
    root_error: str | None
    shared: bool = False
    waits_for_host: bool = False


@dataclass(frozen=True, slots=True)
class PostContent:
    """The content of one version of a post, as it is sent.

    `file_id` is Slack's name of an upload that may have been shared; `created_at` is in seconds
    since the epoch, UTC. `failing_seconds` is how long it has been tried in vain. `above` and
    `below` are the posts that share its message, in their order.
    """

    id: str
    version: int
    sent_version: int
    attempts: int
    payload: Mapping[str, Any]
    file_id: str | None
    created_at: float
    failing_seconds: float = 0.0
    above: Sequence[Mapping[str, Any]] = ()
    below: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class PostOutcome:
    """The result of sending a post; `error` once it is refused for good."""

    ts: str | None
    error: str | None
    settled: bool
