"""A post as data: what a thread should show, independent of whether it is there yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any


class PostKind(StrEnum):
    """What a post is: a message, a reaction on a message, or a file."""

    MESSAGE = "message"
    REACTION = "reaction"
    FILE = "file"


class Priority(IntEnum):
    """Who goes first when the budget of a channel is short; lower goes first."""

    ANSWER = 0
    NOTICE = 1
    REACTION = 2
    PROGRESS = 3


@dataclass(frozen=True, slots=True)
class Post:
    """What a thread should show under one key.

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
