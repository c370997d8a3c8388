"""The inbox's rows: what Slack sent, stored before it is acknowledged."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update

from bot.store import tables
from bot.store.engine import Engines, insert_new
from bot.store.link import Link


@dataclass(frozen=True, slots=True)
class SqlInboxRow:
    """One input whose listener has not ended; `attempts` counts the earlier replays."""

    id: int
    body: Mapping[str, Any]
    attempts: int


@dataclass(slots=True)
class _Arrival:
    """An input on its way into the database; `error` is why it did not get there."""

    values: Mapping[str, Any]
    row_id: int | None = None
    error: Exception | None = None
    settled: bool = False


class SqlInboxRows:
    """Stores inputs durably: what has been acknowledged survives a power cut."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._arrived: list[_Arrival] = []
        self._storing = asyncio.Lock()

    async def store(self, key: str, body: Mapping[str, Any]) -> int | None:
        """The id of the new row; None when the key is stored already.

        What arrives while the disk is busy is stored together, in the order of arrival: a
        hundred inputs at once cost a few waits for the disk, not a hundred.
        """
        values = {"key": key, "body": json.dumps(body), "received_at": time.time()}
        mine = _Arrival(values)
        self._arrived.append(mine)
        async with self._storing:
            if not mine.settled:
                await self._store_arrived(mine)
        if mine.error is not None:
            raise mine.error
        return mine.row_id

    async def _store_arrived(self, mine: "_Arrival") -> None:
        batch, self._arrived = self._arrived, []
        try:
            async with self._engines.writing(durable=True) as connection:
                for arrival in batch:
                    arrival.row_id = await _insert(connection, arrival.values)
        except asyncio.CancelledError:
            self._arrived = [one for one in batch if one is not mine] + self._arrived
            raise
        except Exception as error:  # noqa: BLE001  (each of the batch raises it for its own caller)
            for arrival in batch:
                arrival.error = error
        for arrival in batch:
            arrival.settled = True

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


async def _insert(connection: Link, values: Mapping[str, Any]) -> int | None:
    if not await insert_new(connection, tables.inbox, values):
        return None
    found = select(tables.inbox.c.id).where(tables.inbox.c.key == values["key"])
    return int((await connection.execute(found)).scalar_one())
