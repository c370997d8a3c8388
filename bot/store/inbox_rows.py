"""The inbox's rows: what Slack sent, stored before it is acknowledged."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update

from bot.store import tables
from bot.store.engine import Engines, insert_new


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

    async def store(self, key: str, body: Mapping[str, Any]) -> int | None:
        """The id of the new row; None when the key is stored already."""
        values = {"key": key, "body": json.dumps(body), "received_at": time.time()}
        async with self._engines.writing(durable=True) as connection:
            if not await insert_new(connection, tables.inbox, values):
                return None
            found = select(tables.inbox.c.id).where(tables.inbox.c.key == key)
            return int((await connection.execute(found)).scalar_one())

    async def finish(self, row_id: int) -> None:
        """Note that the listener has ended; the body is of no use any more and goes."""
        async with self._engines.writing() as connection:
            await connection.execute(
                update(tables.inbox)
                .where(tables.inbox.c.id == row_id)
                .values(done_at=time.time(), body="{}")
            )

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
