"""The two engines of a database: one connection that writes, some that only read.

SQLite as the driver ships it loses concurrent updates silently: BEGIN comes only before the first
write, after the read that the write rests on. Here a write transaction takes the write lock before
it reads, one connection writes, and readers cannot write at all. Everything that only SQLite knows
is in this file.

A statement runs to its end before a cancellation is felt. Cancelled in the middle of it, the driver
and its pool may forget a connection that still holds SQLite's write lock, and nobody writes until
the busy timeout is over. So the task that asks may be cancelled at any time, and the statement's
own task never is.
"""

import asyncio
import errno
import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, CursorResult, Dialect, Executable, Table, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, OperationalError, TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bot import files
from bot.errors import ConfigurationError, StoreUnavailable

_BUSY_TIMEOUT_MS = 15_000
_WAIT_FOR_WRITER_SECONDS = 60
_READERS = 4
# Any number that no other program uses for the same purpose in the same Postgres database.
_MIGRATION_LOCK = 7_201_530_811

T = TypeVar("T")


class StoreConnection:
    """One checked-out connection in one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    @property
    def dialect(self) -> Dialect:
        """The dialect of the database."""
        return self._connection.dialect

    async def execute(
        self, statement: Executable, parameters: dict[str, Any] | None = None
    ) -> CursorResult[Any]:
        """Runs one statement; its rows are read already."""
        return await run_to_end(self._connection.execute(statement, parameters))


class PooledConnection:
    """Takes a connection from the pool and gives it back; a cancellation cuts no step in two."""

    def __init__(self, engine: AsyncEngine, *, durable: bool = False) -> None:
        self._connection = engine.connect()
        self._durable = durable

    async def open(self) -> StoreConnection:
        """Takes a connection and begins a transaction."""
        await run_to_end(self._begin())
        return StoreConnection(self._connection)

    async def commit(self) -> None:
        """Commits the transaction."""
        await run_to_end(self._connection.commit())

    async def close(self) -> None:
        """Rolls back what is not committed and gives the connection back; safe before `open`."""
        if self._connection.sync_connection is not None:
            await run_to_end(self._connection.close())

    async def _begin(self) -> None:
        self._connection = await self._connection.start()
        if self._durable:
            self._connection = await self._connection.execution_options(durable=True)
        _ = await self._connection.begin()


async def run_to_end(operation: Coroutine[Any, Any, T]) -> T:
    """Awaits the operation; a cancellation meanwhile is raised when it has ended."""
    running = asyncio.get_running_loop().create_task(operation)
    cut: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait([running])
        except asyncio.CancelledError as error:
            cut = error
    if cut is None:
        return running.result()
    # The error is read, because asyncio reports one that nobody reads.
    if not running.cancelled():
        running.exception()
    raise cut


@dataclass(frozen=True, slots=True)
class Engines:
    """Both engines of one database; with Postgres they are the same one.

    A writer holds `turn`: SQLite has one writer at a time, and Postgres any number (None).
    """

    writer: AsyncEngine
    reader: AsyncEngine
    turn: asyncio.Lock | None = None

    @classmethod
    def of(cls, url: URL) -> Self:
        """Makes the engines for this address; raises ConfigurationError when there is no driver."""
        if path_of(url) is None:
            engine = _engine(url, pool_pre_ping=True)
            return cls(engine, engine)
        writer = _engine(url, pool_size=1, max_overflow=0)
        reader = _engine(url, pool_size=_READERS, max_overflow=0)
        _configure(writer, begin="BEGIN IMMEDIATE", foreign_keys=True, query_only=False)
        _configure(reader, begin="BEGIN", foreign_keys=True, query_only=True)
        return cls(writer, reader, asyncio.Lock())

    @asynccontextmanager
    async def writing(self, *, durable: bool = False) -> AsyncIterator[StoreConnection]:
        """Opens a write transaction: commits at the end, rolls back on an exception.

        A `durable` one is on the disk when it has committed; the others survive the death of the
        process, but the last of them may be lost with the power. Raises StoreUnavailable when the
        disk is full or the database stays locked. May be cancelled at any time: then nothing is
        written, or, where the commit was under way, all of it.
        """
        with _explained():
            async with self._turn():
                checkout = PooledConnection(self.writer, durable=durable)
                try:
                    yield await checkout.open()
                    await checkout.commit()
                finally:
                    await checkout.close()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[StoreConnection]:
        """Opens a consistent view of the last commit; raises StoreUnavailable."""
        with _explained():
            checkout = PooledConnection(self.reader)
            try:
                yield await checkout.open()
            finally:
                await checkout.close()

    async def checkpoint(self) -> None:
        """Moves the write-ahead log of SQLite into its database, and empties it when it can."""
        if self.writer.dialect.name != "sqlite":
            return
        with _explained():
            async with self._turn():
                await run_to_end(self._run_checkpoint())

    async def _run_checkpoint(self) -> None:
        async with self.writer.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            if driver is not None:
                # Outside any transaction, which SQLAlchemy would begin.
                await driver.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)")

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self.turn is None:
            yield
            return
        try:
            async with asyncio.timeout(_WAIT_FOR_WRITER_SECONDS):
                await self.turn.acquire()
        except TimeoutError as error:
            raise StoreUnavailable(_BUSY, "the writer of the database is busy for long") from error
        try:
            yield
        finally:
            self.turn.release()

    async def close(self) -> None:
        """Closes every connection."""
        await run_to_end(self.reader.dispose())
        await run_to_end(self.writer.dispose())


_FULL = (
    "The bot's disk is full, so it takes nothing new. What runs goes on, and stop works. "
    "Ask whoever runs the bot to make room; it recovers by itself."
)
_BUSY = "The bot's database is busy. Nothing was changed; try again in a moment."
_BROKEN = "The bot's database cannot be used now. Nothing was changed; the log says why."
_TROUBLES = {
    "database or disk is full": _FULL,
    "database is locked": _BUSY,
    "database table is locked": _BUSY,
    "disk i/o error": _BROKEN,
    "attempt to write a readonly database": _BROKEN,
    "unable to open database file": _BROKEN,
}


@contextmanager
def _explained() -> Iterator[None]:
    """Turns a trouble of the disk or the server into StoreUnavailable; a bug stays a bug."""
    try:
        yield
    except NoConnection as error:
        raise StoreUnavailable(_BUSY, f"no connection to the database: {error}") from error
    except (OperationalError, sqlite3.OperationalError) as error:
        cause = str(error.orig if isinstance(error, OperationalError) else error)
        text = next((text for sign, text in _TROUBLES.items() if sign in cause.lower()), None)
        if text is None:
            raise
        raise StoreUnavailable(text, f"the database: {cause}") from error


def parse_url(database: str) -> URL:
    """Reads the database's address; raises ConfigurationError without repeating its password."""
    try:
        url = make_url(database)
    except ArgumentError as error:
        raise ConfigurationError("DATABASE_URL is not an address of a database.") from error
    if url.get_backend_name() == "sqlite":
        if not url.database or url.database == ":memory:":
            raise ConfigurationError("DATABASE_URL must name a file for SQLite.")
        return url.set(drivername="sqlite+aiosqlite")
    if url.get_backend_name() == "postgresql":
        return url.set(drivername="postgresql+asyncpg")
    raise ConfigurationError(f"DATABASE_URL: {url.get_backend_name()} is not supported.")


def path_of(url: URL) -> Path | None:
    """Returns the file of a SQLite database; None for a server."""
    is_file = url.get_backend_name() == "sqlite" and url.database
    return Path(url.database) if is_file and url.database else None


def migration_engine(url: URL) -> AsyncEngine:
    """Makes an engine for one upgrade: SQLite copies tables, which foreign keys would forbid."""
    engine = _engine(url, pool_size=1, max_overflow=0)
    if path_of(url) is not None:
        _configure(engine, begin="BEGIN IMMEDIATE", foreign_keys=False, query_only=False)
    return engine


async def lock_for_migration(connection: AsyncConnection) -> None:
    """Lets one process upgrade at a time; the lock goes with the transaction."""
    if connection.dialect.name == "postgresql":
        await connection.execute(
            text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK}
        )


def create_private_folder(folder: Path) -> None:
    """Makes sure that the folder exists; one that is new is for its owner only."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error) from error


def create_private_file(path: Path) -> None:
    """Makes sure that the database's file exists and that only its owner reads it.

    It holds what people wrote and the addresses that answer their commands. SQLite gives the
    files beside it the same mode.
    """
    create_private_folder(path.parent)
    try:
        files.create_private_file(path)
        _set_private(path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _set_private(path: Path) -> None:
    """Lets only the owner read the file; a folder keeps its mode, and raises OSError."""
    if not path.is_file():
        raise OSError(errno.EINVAL, "it is no file")
    path.chmod(0o600)


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{path} cannot be written: {error.strerror}. Set DATA_DIR, or DATABASE_URL, to a place "
        "that this user may write."
    )


def back_up(path: Path, copy: Path) -> None:
    """Copies a SQLite database while it may be in use; the copy appears whole or not at all."""
    unfinished = copy.with_name(copy.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    create_private_file(unfinished)
    source, target = sqlite3.connect(path), sqlite3.connect(unfinished)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
    unfinished.replace(copy)


async def insert_new(connection: StoreConnection, table: Table, values: Mapping[str, Any]) -> bool:
    """Inserts a row; False, and no change, when one of its unique keys is taken."""
    insert = insert_of(connection)(table).values(values).on_conflict_do_nothing()
    return (await connection.execute(insert)).rowcount == 1


def insert_of(connection: StoreConnection) -> Callable[[Table], Any]:
    """Returns the dialect's own INSERT, which can leave out rows that exist already."""
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert


def _engine(url: URL, **options: object) -> AsyncEngine:
    try:
        # Parameters hold what people wrote, and addresses that are capabilities: never log them.
        return create_async_engine(url, hide_parameters=True, **options)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"DATABASE_URL needs the Python package {error.name}, which is not installed."
        ) from error


def _configure(engine: AsyncEngine, *, begin: str, foreign_keys: bool, query_only: bool) -> None:
    def connected(connection: Any, _record: object) -> None:  # noqa: ANN401  (a driver's object)
        connection.isolation_level = None  # the driver must not guess where transactions begin
        cursor = connection.cursor()
        for pragma in (
            f"busy_timeout={_BUSY_TIMEOUT_MS}",
            "journal_mode=WAL",
            "synchronous=NORMAL",
            f"foreign_keys={'ON' if foreign_keys else 'OFF'}",
            f"query_only={'ON' if query_only else 'OFF'}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    def begun(connection: Connection) -> None:
        wanted = "FULL" if connection.get_execution_options().get("durable") else "NORMAL"
        if connection.info.get("synchronous", "NORMAL") != wanted:
            connection.exec_driver_sql(f"PRAGMA synchronous={wanted}")
            connection.info["synchronous"] = wanted
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "begin", begun)
