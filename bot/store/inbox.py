"""The inbox's rows: what Slack sent, stored before it is acknowledged.

What arrives while the disk is busy waits for the next turn together, and is stored in one
transaction.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import delete, select, update

from bot.agents.ports.store import StoredInput
from bot.store import tables
from bot.store.engine import Engines, StoreConnection, insert_of, run_to_end

T = TypeVar("T")
R = TypeVar("R")

# Within the number of parameters that the databases take in one statement.
_MOST_AT_ONCE = 500


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

    async def unfinished(self) -> Sequence[StoredInput]:
        """What was stored and not finished, in the order of arrival."""
        query = select(tables.inbox).where(tables.inbox.c.done_at.is_(None))
        async with self._engines.reading() as connection:
            rows = (await connection.execute(query.order_by(tables.inbox.c.id))).all()
        return [StoredInput(row.id, json.loads(row.body), row.attempts) for row in rows]

    async def count_attempt(self, row_id: int) -> None:
        """Note that the input is about to be replayed."""
        async with self._engines.writing() as connection:
            await connection.execute(
                update(tables.inbox)
                .where(tables.inbox.c.id == row_id)
                .values(attempts=tables.inbox.c.attempts + 1)
            )


async def _insert_new(
    connection: StoreConnection, arrived: Sequence[Mapping[str, Any]]
) -> Sequence[int | None]:
    """The ids of the new rows, None for a key that is stored already or twice among these."""
    insert = insert_of(connection)(tables.inbox).values([dict(values) for values in arrived])
    new = insert.on_conflict_do_nothing().returning(tables.inbox.c.key, tables.inbox.c.id)
    ids = {row.key: int(row.id) for row in (await connection.execute(new)).all()}
    return [ids.pop(values["key"], None) for values in arrived]


async def _finish(connection: StoreConnection, row_ids: Sequence[int]) -> Sequence[None]:
    await connection.execute(
        update(tables.inbox)
        .where(tables.inbox.c.id.in_(row_ids))
        .values(done_at=time.time(), body="{}")
    )
    return [None] * len(row_ids)


@dataclass(eq=False, slots=True)
class _Entry(Generic[T, R]):
    """One thing on its way; it is settled by a result or by an error."""

    value: T
    result: R | None = None
    error: Exception | None = None
    settled: bool = False


class GroupCommit(Generic[T, R]):
    """`write(connection, values)` writes them all and gives a result for each, in their order."""

    def __init__(
        self,
        engines: Engines,
        write: Callable[[StoreConnection, Sequence[T]], Awaitable[Sequence[R]]],
        *,
        durable: bool = False,
    ) -> None:
        self._engines = engines
        self._write = write
        self._durable = durable
        self._waiting: list[_Entry[T, R]] = []
        self._turn = asyncio.Lock()

    async def put(self, value: T) -> R:
        """Return when the value is committed; raises what its transaction raised.

        Who is cancelled while the value is on its way may find it written; the others, whose
        values go with it, do not feel that.
        """
        mine: _Entry[T, R] = _Entry(value)
        self._waiting.append(mine)
        try:
            async with self._turn:
                while not mine.settled:
                    await run_to_end(self._flush())
        finally:
            if mine in self._waiting:
                self._waiting.remove(mine)
        if mine.error is not None:
            raise mine.error
        return cast("R", mine.result)

    async def _flush(self) -> None:
        batch: list[_Entry[T, R]] = []
        try:
            async with self._engines.writing(durable=self._durable) as connection:
                # Only now, so that whatever came while others wrote goes along.
                batch = self._waiting[:_MOST_AT_ONCE]
                del self._waiting[:_MOST_AT_ONCE]
                results = await self._write(connection, [entry.value for entry in batch])
        except Exception as error:  # noqa: BLE001  (each of the batch raises it for its own caller)
            # Without a connection nothing was taken, and it is the trouble of all who wait.
            for entry in batch or self._waiting:
                entry.error, entry.settled = error, True
            return
        for entry, result in zip(batch, results, strict=True):
            entry.result, entry.settled = result, True
