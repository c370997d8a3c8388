"""A stored post on its way: what the sender knows of it, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.domain.posts import PostKind, Priority

ROOT_KEY = "root"


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
    """What is being sent: one version of a post.

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
    """What became of a post so far; `error` once it is refused for good."""

    ts: str | None
    error: str | None
    settled: bool
