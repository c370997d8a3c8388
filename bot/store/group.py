"""Writes many small things at once in one transaction: what arrives while the disk is busy waits
for the next turn together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from bot.store.engine import Engines
from bot.store.link import Link, to_the_end

T = TypeVar("T")
R = TypeVar("R")

# Within the number of parameters that the databases take in one statement.
_MOST_AT_ONCE = 500


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
        write: Callable[[Link, Sequence[T]], Awaitable[Sequence[R]]],
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
                    await to_the_end(self._flush())
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
