"""The outbox's rows: what a thread should show, and how much of it Slack has."""

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
from bot.store.engine import Engines, StoreConnection, insert_new

_OPEN = ("pending", "sending", "unknown")
# What ends something, by the beginning of its key; and the most that its blocks may hold, so that
# there is room for another post in the same message.
HOSTS = ("answer", "stopped", "trouble")
MAX_HOST_CHARS = 9_000


def hidden_post(post: Post, hide: Hide) -> Post:
    """The post with its words passed through `hide`; a file's content must stay what it is."""
    kept = {name: post.payload[name] for name in ("content_base64",) if name in post.payload}
    return replace(post, payload=hidden_in(post.payload, hide) | kept)


async def enqueue(connection: StoreConnection, agent_id: str, post: Post) -> bool:
    """Store the post's content; False when it is the content that is stored already."""
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
    ours = (row.agent_id == agent_id) & (row.key == post.key)
    found = (await connection.execute(select(tables.outbox).where(ours).with_for_update())).one()
    if (found.payload, found.thread_ts) == (content["payload"], content["thread_ts"]):
        return False
    # A row that is on its way keeps its state: the sender sees the new version afterwards.
    reopened = case((row.state == "sent", "pending"), else_=row.state)
    reopened = case(((row.state == "dead") & ~row.gone, "pending"), else_=reopened)
    await connection.execute(
        update(tables.outbox).where(ours).values(**content, version=row.version + 1, state=reopened)
    )
    return True


async def _host(connection: StoreConnection, agent_id: str) -> str:
    """The key of the newest post that ended something, if another fits below it; "" for none.

    What opens an agent in a thread of somebody else may be one, the root of a thread never.
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
    found = (await connection.execute(query)).one_or_none()
    if found is None:
        return ""
    blocks = json.loads(found.payload).get("blocks") or ()
    return str(found.key) if len(str(blocks)) <= MAX_HOST_CHARS else ""


class SqlOutboxRows:
    """The sender's view of the outbox; every change is committed when the call returns."""

    def __init__(self, engines: Engines, clock: Callable[[], float] = time.time) -> None:
        self._engines = engines
        self.clock = clock

    async def open(self) -> Sequence[OpenRow]:
        """Every row that Slack does not agree with, the oldest key first."""
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
            found = (await connection.execute(query)).mappings().all()
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
            for item in found
        ]

    async def begin(self, row_id: str) -> PostContent | None:
        """Mark the row as on its way and return its newest content; None when it is settled."""
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
            found = (await connection.execute(query)).one()
            above, below = await _around(connection, found)
        return PostContent(
            found.id,
            found.version,
            found.sent_version,
            found.attempts,
            json.loads(found.payload),
            found.file_id,
            found.created_at,
            max(0.0, self.clock() - found.failing_since) if found.failing_since else 0.0,
            above,
            below,
        )

    async def note_file(self, row_id: str, file_id: str | None) -> None:
        """Remember Slack's name of an upload before it is shared; None after that."""
        async with self._engines.writing() as connection:
            await connection.execute(
                update(tables.outbox).where(tables.outbox.c.id == row_id).values(file_id=file_id)
            )

    async def sent(self, row_id: str, version: int, ts: str | None) -> None:
        """Slack shows this version; the message's ts is noted as ours, and the root's as thread."""
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
            found = (await connection.execute(query.where(row.id == row_id))).one()
            if ts is None or found.kind == PostKind.REACTION:
                return
            await insert_new(
                connection,
                tables.posted,
                {"channel": found.channel, "ts": ts, "agent_id": found.agent_id},
            )
            if found.key == ROOT_KEY:
                await connection.execute(
                    update(tables.agent)
                    .where(tables.agent.c.id == found.agent_id, tables.agent.c.thread_ts.is_(None))
                    .values(thread_ts=found.thread_ts or ts)
                )

    async def put_back(
        self, row_id: str, *, unknown: bool, error: str, failing: bool = False
    ) -> None:
        """The row did not get through: not at all, or (`unknown`) nobody knows.

        `failing` says that Slack or the way to it is in trouble, and not just busy.
        """
        values: dict[str, Any] = {"state": "unknown" if unknown else "pending", "error": error}
        if failing:
            values["failing_since"] = func.coalesce(tables.outbox.c.failing_since, self.clock())
        await self._set(row_id, **values)

    async def bury(self, row_id: str, version: int, *, error: str, gone: bool) -> bool:
        """Slack refuses this version for good; when the place is `gone`, all later ones too.

        A newer version that came meanwhile is tried unless the place is gone. Returns False when
        the same error of this row was known already.
        """
        row = tables.outbox.c
        async with self._engines.writing() as connection:
            query = select(row.version, row.error).where(row.id == row_id).with_for_update()
            found = (await connection.execute(query)).one()
            state = "pending" if found.version > version and not gone else "dead"
            await connection.execute(
                update(tables.outbox)
                .where(row.id == row_id)
                .values(
                    state=state, error=error, gone=gone, sent_version=version, failing_since=None
                )
            )
        return bool(found.error != error)

    async def detach(self, row_id: str) -> None:
        """Give a post that shared the message of another one a message of its own."""
        await self._set(row_id, under="", ts=None, state="pending", error=None, attempts=0)

    async def outcome(self, agent_id: str, key: str) -> PostOutcome | None:
        """What became of a post; None when there is none under this key."""
        row = tables.outbox.c
        query = select(row.ts, row.error, row.state, row.sent_version).where(
            row.agent_id == agent_id, row.key == key
        )
        async with self._engines.reading() as connection:
            found = (await connection.execute(query)).one_or_none()
        if found is None:
            return None
        error = found.error if found.state == "dead" else None
        return PostOutcome(found.ts, error, found.state in {"sent", "dead"})

    async def _set(self, row_id: str, **values: object) -> None:
        async with self._engines.writing() as connection:
            await connection.execute(
                update(tables.outbox).where(tables.outbox.c.id == row_id).values(**values)
            )


async def _around(
    connection: StoreConnection, found: Row[Any]
) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]:
    """The posts of the message that this one shares: those above it, and those below."""
    row = tables.outbox.c
    host = found.under or found.key
    query = (
        select(row.key, row.position, row.payload, row.ts)
        .where(
            row.agent_id == found.agent_id,
            row.id != found.id,
            (row.key == host) | (row.under == host),
        )
        .order_by(row.position)
    )
    others = (await connection.execute(query)).all()
    if found.under and not any(other.key == host and other.ts for other in others):
        return (), ()  # it never came to be, so this one has a message of its own
    above = [json.loads(other.payload) for other in others if other.position < found.position]
    below = [json.loads(other.payload) for other in others if other.position > found.position]
    return above, below
