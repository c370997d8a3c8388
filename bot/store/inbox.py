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
from bot.store.database import Engines, StoreConnection, insert_of, run_to_end

T = TypeVar("T")
R = TypeVar("R")

# Within the number of parameters that the databases take in one statement.
_MAX_BATCH = 500


class SqlInboxRows:
    """Stores inputs durably: what has been acknowledged survives a power cut."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._stored = GroupCommit(engines, _insert_new, durable=True)
        self._finished = GroupCommit(engines, _finish)

    async def store(self, key: str, body: Mapping[str, Any]) -> int | None:
        """Stores an input and returns its row's id; None when the key is stored already.

        Inputs that arrive while the disk is busy are stored together, in the order of arrival: a
        hundred of them at once cost a few waits for the disk, not a hundred.
        """
        return await self._stored.put(
            {"key": key, "body": json.dumps(body), "received_at": time.time()}
        )

    async def finish(self, row_id: int) -> None:
        """Notes that the listener has ended, and drops the body, which nothing reads any more."""
        await self._finished.put(row_id)

    async def forget(self, row_id: int) -> None:
        """Drops the row: the same input may come again and counts as a new one then."""
        async with self._engines.writing() as connection:
            await connection.execute(delete(tables.inbox).where(tables.inbox.c.id == row_id))

    async def unfinished(self) -> Sequence[StoredInput]:
        """Returns the inputs that are stored and not finished, in the order of arrival."""
        query = select(tables.inbox).where(tables.inbox.c.done_at.is_(None))
        async with self._engines.reading() as connection:
            rows = (await connection.execute(query.order_by(tables.inbox.c.id))).all()
        return [StoredInput(row.id, json.loads(row.body), row.attempts) for row in rows]

    async def count_attempt(self, row_id: int) -> None:
        """Notes that the input is about to be replayed."""
        async with self._engines.writing() as connection:
            await connection.execute(
                update(tables.inbox)
                .where(tables.inbox.c.id == row_id)
                .values(attempts=tables.inbox.c.attempts + 1)
            )


async def _insert_new(
    connection: StoreConnection, arrived: Sequence[Mapping[str, Any]]
) -> Sequence[int | None]:
    """Inserts inputs; returns their ids, None for a key that is stored or came earlier in these."""
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
    """One value to write; it is settled by a result or by an error."""

    value: T
    result: R | None = None
    error: Exception | None = None
    settled: bool = False


class GroupCommit(Generic[T, R]):
    """Collects values and writes those that wait in one transaction.

    `write(connection, values)` writes them all and returns a result for each, in their order.
    """

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
        """Writes a value and returns its result after the commit; raises the transaction's error.

        A caller that is cancelled meanwhile may find its value written; the callers whose values
        are written together with it are not affected.
        """
        entry: _Entry[T, R] = _Entry(value)
        self._waiting.append(entry)
        try:
            async with self._turn:
                while not entry.settled:
                    await run_to_end(self._flush())
        finally:
            if entry in self._waiting:
                self._waiting.remove(entry)
        if entry.error is not None:
            raise entry.error
        return cast("R", entry.result)

    async def _flush(self) -> None:
        batch: list[_Entry[T, R]] = []
        try:
            async with self._engines.writing(durable=self._durable) as connection:
                # Taken only now, so that values that came while others wrote are included.
                batch = self._waiting[:_MAX_BATCH]
                del self._waiting[:_MAX_BATCH]
                results = await self._write(connection, [entry.value for entry in batch])
        except Exception as error:  # noqa: BLE001  (each of the batch raises it for its own caller)
            # Without a connection no value was taken, so all that wait get the error.
            for entry in batch or self._waiting:
                entry.error, entry.settled = error, True
            return
        for entry, result in zip(batch, results, strict=True):
            entry.result, entry.settled = result, True
