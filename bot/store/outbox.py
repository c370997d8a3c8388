"""Stores the posts that a thread should show, and how much of each Slack has."""

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Row, case, func, or_, select, update

from bot.domain.posts import (
    ROOT_KEY,
    OpenRow,
    Post,
    PostContent,
    PostKind,
    PostOutcome,
    Priority,
)
from bot.redaction import Hide, hidden_in
from bot.store import tables
from bot.store.database import Engines, StoreConnection, insert_new

_OPEN = ("pending", "sending", "unknown")
# The beginnings of the keys of posts that end a task or an agent, and the most characters that the
# blocks of such a post may hold, so that there is room for another post in the same message.
HOSTS = ("answer", "stopped", "trouble")
MAX_HOST_CHARS = 9_000


def hidden_post(post: Post, hide: Hide) -> Post:
    """Returns the post with its texts passed through `hide`; a file's content stays the same."""
    kept = {name: post.payload[name] for name in ("content_base64",) if name in post.payload}
    return replace(post, payload=hidden_in(post.payload, hide) | kept)


async def enqueue(connection: StoreConnection, agent_id: str, post: Post) -> bool:
    """Stores the post's content; False when it is the content that is stored already."""
    content = {
        "priority": int(post.priority),
        "payload": json.dumps(dict(post.payload), sort_keys=True),
        "thread_ts": post.thread_ts,
    }
    under = await _host(connection, agent_id) if post.beneath else ""
    new = content | {
        "under": under,
        "id": secrets.token_hex(12),
        "agent_id": agent_id,
        "key": post.key,
        "kind": post.kind.value,
        "channel": post.channel,
        "state": "pending",
        "created_at": time.time(),
    }
    if await insert_new(connection, tables.outbox, new):
        return True
    row = tables.outbox.c
    same_post = (row.agent_id == agent_id) & (row.key == post.key)
    query = select(tables.outbox).where(same_post).with_for_update()
    (stored,) = (await connection.execute(query)).all()
    if (stored.payload, stored.thread_ts) == (content["payload"], content["thread_ts"]):
        return False
    # A row that is being sent keeps its state: the sender sees the new version afterwards.
    reopened = case((row.state == "sent", "pending"), else_=row.state)
    reopened = case(((row.state == "dead") & ~row.gone, "pending"), else_=reopened)
    await connection.execute(
        update(tables.outbox)
        .where(same_post)
        .values(**content, version=row.version + 1, state=reopened)
    )
    return True


async def _host(connection: StoreConnection, agent_id: str) -> str:
    """Returns the key of the newest post that ended a task or an agent, if another fits below it.

    "" stands for none. The first reply in a thread of somebody else may be it, a root never.
    """
    row = tables.outbox.c
    is_reply = (row.key == ROOT_KEY) & row.thread_ts.is_not(None)
    query = (
        select(row.key, row.payload)
        .where(
            row.agent_id == agent_id,
            row.kind == PostKind.MESSAGE.value,
            or_(is_reply, *(row.key.like(f"{kind}:%") for kind in HOSTS)),
            row.state != "dead",
        )
        .order_by(row.position.desc())
        .limit(1)
    )
    stored = (await connection.execute(query)).one_or_none()
    if stored is None:
        return ""
    blocks = json.loads(stored.payload).get("blocks") or ()
    return str(stored.key) if len(str(blocks)) <= MAX_HOST_CHARS else ""


class SqlOutboxRows:
    """The outbox as its sender reads and writes it; a change is committed when the call returns."""

    def __init__(self, engines: Engines, clock: Callable[[], float] = time.time) -> None:
        self._engines = engines
        self.clock = clock

    async def open(self) -> Sequence[OpenRow]:
        """Returns every row of which Slack does not have the newest version, the oldest first."""
        row, root = tables.outbox.c, tables.outbox.alias("root")
        host = tables.outbox.alias("host")
        query = (
            select(
                row.id, row.agent_id, row.key, row.kind, row.channel, row.priority, row.position,
                row.state, func.coalesce(host.c.ts, row.ts).label("ts"),
                host.c.ts.is_not(None).label("shared"),
                (host.c.ts.is_(None) & (host.c.state != "dead")).label("waits_for_host"),
                case((root.c.state == "dead", root.c.error)).label("root_error"),
                case(
                    (row.key == ROOT_KEY, row.thread_ts),
                    else_=func.coalesce(tables.agent.c.thread_ts, row.thread_ts),
                ).label("thread_ts"),
            )
            .join(tables.agent, tables.agent.c.id == row.agent_id)
            .outerjoin(root, (root.c.agent_id == row.agent_id) & (root.c.key == ROOT_KEY))
            .outerjoin(host, (host.c.agent_id == row.agent_id) & (host.c.key == row.under))
            .where(row.state.in_(_OPEN))
            .order_by(row.position)
        )  # fmt: skip
        async with self._engines.reading() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [
            OpenRow(
                **{
                    **item,
                    "kind": PostKind(item["kind"]),
                    "priority": Priority(item["priority"]),
                    "shared": bool(item["shared"]),
                    "waits_for_host": bool(item["waits_for_host"]),
                }
            )
            for item in rows
        ]

    async def begin(self, row_id: str) -> PostContent | None:
        """Marks the row as being sent and returns its newest content; None when it is settled."""
        row = tables.outbox.c
        async with self._engines.writing() as connection:
            begun = await connection.execute(
                update(tables.outbox)
                .where(row.id == row_id, row.state.in_(_OPEN))
                .values(state="sending", attempts=row.attempts + 1)
            )
            if begun.rowcount != 1:
                return None
            query = select(tables.outbox).where(row.id == row_id)
            (stored,) = (await connection.execute(query)).all()
            above, below = await _posts_around(connection, stored)
        return PostContent(
            stored.id,
            stored.version,
            stored.sent_version,
            stored.attempts,
            json.loads(stored.payload),
            stored.file_id,
            stored.created_at,
            max(0.0, self.clock() - stored.failing_since) if stored.failing_since else 0.0,
            above,
            below,
        )

    async def note_file(self, row_id: str, file_id: str | None) -> None:
        """Remembers Slack's name of an upload before it is shared; None after that."""
        async with self._engines.writing() as connection:
            await connection.execute(
                update(tables.outbox).where(tables.outbox.c.id == row_id).values(file_id=file_id)
            )

    async def sent(self, row_id: str, version: int, ts: str | None) -> None:
        """Notes that Slack shows this version, and that the message or thread is the bot's."""
        row = tables.outbox.c
        async with self._engines.writing() as connection:
            await connection.execute(
                update(tables.outbox)
                .where(row.id == row_id)
                .values(
                    sent_version=version,
                    state=case((row.version > version, "pending"), else_="sent"),
                    ts=func.coalesce(ts, row.ts),
                    attempts=0,
                    error=None,
                    failing_since=None,
                    file_id=None,
                )
            )
            query = select(row.kind, row.key, row.channel, row.thread_ts, row.agent_id)
            (stored,) = (await connection.execute(query.where(row.id == row_id))).all()
            if ts is None or stored.kind == PostKind.REACTION:
                return
            await insert_new(
                connection,
                tables.posted,
                {"channel": stored.channel, "ts": ts, "agent_id": stored.agent_id},
            )
            if stored.key == ROOT_KEY:
                await connection.execute(
                    update(tables.agent)
                    .where(tables.agent.c.id == stored.agent_id, tables.agent.c.thread_ts.is_(None))
                    .values(thread_ts=stored.thread_ts or ts)
                )

    async def put_back(
        self, row_id: str, *, unknown: bool, error: str, failing: bool = False
    ) -> None:
        """Notes that the row was not sent, or (`unknown`) that nobody knows whether it was.

        With `failing`, Slack or the network is in trouble, and not just busy.
        """
        values: dict[str, Any] = {"state": "unknown" if unknown else "pending", "error": error}
        if failing:
            values["failing_since"] = func.coalesce(tables.outbox.c.failing_since, self.clock())
        await self._set(row_id, **values)

    async def bury(self, row_id: str, version: int, *, error: str, gone: bool) -> bool:
        """Notes that Slack refuses this version for good; all later ones too with `gone`.

        `gone` says that there is no such channel or message any more; otherwise a newer version
        that was stored meanwhile is tried. Returns False when this row had the same error already.
        """
        row = tables.outbox.c
        async with self._engines.writing() as connection:
            query = select(row.version, row.error).where(row.id == row_id).with_for_update()
            (stored,) = (await connection.execute(query)).all()
            state = "pending" if stored.version > version and not gone else "dead"
            await connection.execute(
                update(tables.outbox)
                .where(row.id == row_id)
                .values(
                    state=state, error=error, gone=gone, sent_version=version, failing_since=None
                )
            )
        return bool(stored.error != error)

    async def detach(self, row_id: str) -> None:
        """Gives a post that shared the message of another one a message of its own."""
        await self._set(row_id, under="", ts=None, state="pending", error=None, attempts=0)

    async def outcome(self, agent_id: str, key: str) -> PostOutcome | None:
        """Returns how far a post is; None when there is none under this key."""
        row = tables.outbox.c
        query = select(row.ts, row.error, row.state, row.sent_version).where(
            row.agent_id == agent_id, row.key == key
        )
        async with self._engines.reading() as connection:
            stored = (await connection.execute(query)).one_or_none()
        if stored is None:
            return None
        error = stored.error if stored.state == "dead" else None
        return PostOutcome(stored.ts, error, stored.state in {"sent", "dead"})

    async def _set(self, row_id: str, **values: object) -> None:
        async with self._engines.writing() as connection:
            await connection.execute(
                update(tables.outbox).where(tables.outbox.c.id == row_id).values(**values)
            )


async def _posts_around(
    connection: StoreConnection, stored: Row[Any]
) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
    """Returns the other posts in the message of this one: those above it, and those below."""
    row = tables.outbox.c
    host = stored.under or stored.key
    query = (
        select(row.key, row.position, row.payload, row.ts)
        .where(
            row.agent_id == stored.agent_id,
            row.id != stored.id,
            (row.key == host) | (row.under == host),
        )
        .order_by(row.position)
    )
    others = (await connection.execute(query)).all()
    if stored.under and not any(other.key == host and other.ts for other in others):
        return (), ()  # the shared message was never sent, so this post has one of its own
    above = [json.loads(other.payload) for other in others if other.position < stored.position]
    below = [json.loads(other.payload) for other in others if other.position > stored.position]
    return above, below
