"""A connection whose statements run to their end before a cancellation is felt.

Cancelled in the middle of a statement, the driver and its pool may forget a connection that still
holds SQLite's write lock, and nobody writes until the busy timeout is over. So the task that asks
may be cancelled at any time, and the statement's own task never is.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from sqlalchemy import CursorResult, Dialect, Executable
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

T = TypeVar("T")


class Link:
    """One checked-out connection in one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    @property
    def dialect(self) -> Dialect:
        """The database's dialect."""
        return self._connection.dialect

    async def execute(
        self, statement: Executable, parameters: dict[str, Any] | None = None
    ) -> CursorResult[Any]:
        """Run one statement; its rows are read already."""
        return await to_the_end(self._connection.execute(statement, parameters))


class PooledConnection:
    """A connection's way from the pool and back, each part of it whole."""

    def __init__(self, engine: AsyncEngine, *, durable: bool = False) -> None:
        self._connection = engine.connect()
        self._durable = durable

    async def open(self) -> Link:
        """Take a connection and begin."""
        await to_the_end(self._begun())
        return Link(self._connection)

    async def commit(self) -> None:
        """Commit."""
        await to_the_end(self._connection.commit())

    async def close(self) -> None:
        """Roll back what is not committed and give the connection back; safe before `open`."""
        if self._connection.sync_connection is not None:
            await to_the_end(self._connection.close())

    async def _begun(self) -> None:
        self._connection = await self._connection.start()
        if self._durable:
            self._connection = await self._connection.execution_options(durable=True)
        _ = await self._connection.begin()


async def to_the_end(operation: Coroutine[Any, Any, T]) -> T:
    """Await the operation; a cancellation meanwhile is raised when it has ended."""
    running = asyncio.get_running_loop().create_task(operation)
    cut: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cut = error
    if cut is None:
        return running.result()
    # Asked for, so that an error which nobody waits for any more is not called forgotten.
    if not running.cancelled():
        running.exception()
    raise cut
