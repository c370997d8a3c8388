"""The inbox's rows: what Slack sent, stored before it is acknowledged."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update

from bot.store import tables
from bot.store.engine import Engines, insert_of
from bot.store.group import GroupCommit
from bot.store.link import Link


@dataclass(frozen=True, slots=True)
class SqlInboxRow:
    """One input whose listener has not ended; `attempts` counts the earlier replays."""

    id: int
    body: Mapping[str, Any]
    attempts: int


class SqlInboxRows:
    """Stores inputs durably: what has been acknowledged survives a power cut."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._stored = GroupCommit(engines, _insert_new, durable=True)
        self._finished = GroupCommit(engines, _finish)

    async def store(self, key: str, body: Mapping[str, Any]) -> int | None:
        """The id of the new row; None when the key is stored already.

        What arrives while the disk is busy is stored together, in the order of arrival: a
        hundred inputs at once cost a few waits for the disk, not a hundred.
        """
        return await self._stored.put(
            {"key": key, "body": json.dumps(body), "received_at": time.time()}
        )

    async def finish(self, row_id: int) -> None:
        """Note that the listener has ended; the body is of no use any more and goes."""
        await self._finished.put(row_id)

    async def forget(self, row_id: int) -> None:
        """Drop the row: the same input may come again and counts as a new one then."""
        async with self._engines.writing() as connection:
            await connection.execute(delete(tables.inbox).where(tables.inbox.c.id == row_id))

    async def unfinished(self) -> Sequence[SqlInboxRow]:
        """What was stored and not finished, in the order of arrival."""
        query = select(tables.inbox).where(tables.inbox.c.done_at.is_(None))
        async with self._engines.reading() as connection:
            rows = (await connection.execute(query.order_by(tables.inbox.c.id))).all()
        return [SqlInboxRow(row.id, json.loads(row.body), row.attempts) for row in rows]

    async def count_attempt(self, row_id: int) -> None:
        """Note that the input is about to be replayed."""
        async with self._engines.writing() as connection:
            await connection.execute(
                update(tables.inbox)
                .where(tables.inbox.c.id == row_id)
                .values(attempts=tables.inbox.c.attempts + 1)
            )


async def _insert_new(
    connection: Link, arrived: Sequence[Mapping[str, Any]]
) -> Sequence[int | None]:
    """The ids of the new rows, None for a key that is stored already or twice among these."""
    insert = insert_of(connection)(tables.inbox).values([dict(values) for values in arrived])
    new = insert.on_conflict_do_nothing().returning(tables.inbox.c.key, tables.inbox.c.id)
    ids = {row.key: int(row.id) for row in (await connection.execute(new)).all()}
    return [ids.pop(values["key"], None) for values in arrived]


async def _finish(connection: Link, row_ids: Sequence[int]) -> Sequence[None]:
    await connection.execute(
        update(tables.inbox)
        .where(tables.inbox.c.id.in_(row_ids))
        .values(done_at=time.time(), body="{}")
    )
    return [None] * len(row_ids)
