"""One process at a time works with a data directory and a database; a second one waits, then ends.

Two at once would start each message twice and remove each other's containers. On this host the
kernel keeps the rule by locks on files: they end with their process, however it ends, so the next
one starts at once and never finds a lock that nobody holds.

A database on a server may be shared by hosts; there one row with a heartbeat keeps the rule, and is
taken over when the heart stops. Nobody's clock is compared with another's: who waits watches the
heartbeat for the length of a lease on its own clock, and who owns gives up on its own clock well
before that. An owner that was frozen for longer learns at its next beat that it is the owner no
more; what it writes in between is the one thing that this does not prevent.
"""

import asyncio
import fcntl
import logging
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Column, Integer, MetaData, String, Table, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.errors import ConfigurationError
from bot.store.database import (
    create_private_file,
    lock_for_migration,
    migration_engine,
    parse_url,
    path_of,
)

logger = logging.getLogger(__name__)

# Longer than a lease, and longer than a process takes that is just ending politely.
WAIT_SECONDS = 30.0
# The kernel tells nobody that a lock has become free.
_LOOK_AGAIN_SECONDS = 0.1
_MOST_WORDS = 200
_RELEASE_SECONDS = 5.0

# Not among the tables that are upgraded: an upgrade is what the lease protects first of all.
_metadata = MetaData()
_owner = Table(
    "owner",
    _metadata,
    Column("id", Integer, primary_key=True),
    Column("token", String, nullable=False),
    Column("beat", Integer, nullable=False),
    Column("who", String, nullable=False),
)


@asynccontextmanager
async def owned(
    database: str, data_dir: Path, *, wait_seconds: float = WAIT_SECONDS
) -> AsyncIterator[None]:
    """Owns a data directory and its database for the length of a block.

    Raises ConfigurationError when another process does not end within `wait_seconds`, and in the
    middle of the block when the lease of a database on a server is lost.
    """
    url = parse_url(database)
    path = path_of(url)
    deadline = asyncio.get_running_loop().time() + wait_seconds
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_locked(data_dir / "owner", data_dir, deadline))
        if path is not None:
            lock = path.with_name(f"{path.name}.owner")
            await stack.enter_async_context(_locked(lock, path, deadline))
        else:
            lease = Lease(migration_engine(url), _who())
            await stack.enter_async_context(lease.held(deadline))
        yield


def holder(data_dir: Path) -> str:
    """Returns the process that owns this data directory, for people to read; "" for none."""
    try:
        file = os.open(data_dir / "owner", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return ""
    except BlockingIOError:
        return os.pread(file, _MOST_WORDS, 0).decode(errors="replace").strip() or "a process"
    finally:
        os.close(file)


@asynccontextmanager
async def _locked(lock: Path, place: Path, deadline: float) -> AsyncIterator[None]:
    """Holds the kernel's lock on a file; what is in the file only names who holds it."""
    await asyncio.to_thread(create_private_file, lock)
    # It stays open, and the programs that this process starts do not inherit it.
    file = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    try:
        await _wait_for(file, place, deadline)
        with suppress(OSError):  # on a full disk it stays unknown
            os.truncate(file, 0)
            os.pwrite(file, _who().encode(), 0)
        yield
    finally:
        os.close(file)


async def _wait_for(file: int, place: Path, deadline: float) -> None:
    warned = False
    while not _try_lock(file):
        holder = os.pread(file, _MOST_WORDS, 0).decode(errors="replace").strip() or "its owner"
        if asyncio.get_running_loop().time() >= deadline:
            raise ConfigurationError(
                f"Another Threadsmith ({holder}) works with {place}. End that one first, or set "
                "DATA_DIR and DATABASE_URL to places of this one's own."
            )
        if not warned:
            logger.warning("another Threadsmith (%s) works with %s; waiting for it", holder, place)
        warned = True
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


def _try_lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _who() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
    return f"process {os.getpid()} on {socket.gethostname()} since {since}"


@dataclass(frozen=True, slots=True)
class _Seen:
    token: str
    beat: int
    who: str


class Lease:
    """Owns one database on a server for a while. Times are in seconds; `who` is for people."""

    def __init__(self, engine: AsyncEngine, who: str, *, lease_seconds: float = 10.0) -> None:
        self._engine = engine
        self._who = who
        self._token = uuid.uuid4().hex
        self._lease = lease_seconds
        self._beats = lease_seconds / 5
        # A beat may be under way when the owner gives up, and must not arrive after the lease.
        self._give_up = lease_seconds * 0.6
        self._held_at = 0.0

    @asynccontextmanager
    async def held(self, deadline: float) -> AsyncIterator[None]:
        """Owns the database for the length of a block, which is cut off when that is lost.

        `deadline` is of the loop's clock. Raises ConfigurationError when another process owns it
        then, when the lease is lost, and when the database is out of reach at the start.
        """
        try:
            try:
                await self._acquire(deadline)
            except (DBAPIError, OSError) as error:
                raise ConfigurationError(
                    f"The database of DATABASE_URL cannot be used: {_short(error)}"
                ) from error
            over = asyncio.Event()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._beat(over))
                    yield
                    # A beat under way is not cut off: SQLite's driver would go on with it alone,
                    # and keep the lock.
                    over.set()
            except BaseExceptionGroup as errors:
                # The first reason is the reason: the block's own error, or the loss.
                raise errors.exceptions[0] from errors.exceptions[0].__cause__
            finally:
                await self._release()
        finally:
            await self._engine.dispose()

    async def _acquire(self, deadline: float) -> None:
        loop = asyncio.get_running_loop()
        await self._create_table()
        seen, since, warned = await self._read_owner(), loop.time(), False
        self._held_at = loop.time()
        while not await self._take(seen, stale=loop.time() - since >= self._lease):
            if loop.time() >= deadline:
                who = seen.who if seen else "its owner"
                raise ConfigurationError(
                    f"Another Threadsmith ({who}) works with the database of DATABASE_URL. "
                    "End that one first, or set DATABASE_URL to one of this one's own."
                )
            if seen and not warned:
                warned = True
                logger.warning("another Threadsmith (%s) works with the database", seen.who)
            await asyncio.sleep(self._beats / 2)
            before, seen = seen, await self._read_owner()
            self._held_at = loop.time()
            if seen != before:
                since = self._held_at

    async def _create_table(self) -> None:
        async with self._engine.begin() as connection:
            await lock_for_migration(connection)
            await connection.run_sync(_metadata.create_all)

    async def _read_owner(self) -> _Seen | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(select(_owner))).one_or_none()
        return _Seen(row.token, row.beat, row.who) if row else None

    async def _take(self, seen: _Seen | None, *, stale: bool) -> bool:
        mine = {"token": self._token, "beat": 0, "who": self._who}
        row = _owner.c
        async with self._engine.begin() as connection:
            if seen is None:
                dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
                new = dialect.insert(_owner).values(id=1, **mine).on_conflict_do_nothing()
                return (await connection.execute(new)).rowcount == 1
            if not stale:
                return False
            unchanged = (row.token == seen.token, row.beat == seen.beat)
            taking = update(_owner).where(*unchanged).values(**mine)
            taken = (await connection.execute(taking)).rowcount == 1
        if taken:
            logger.warning("took the database over from %s, which is silent", seen.who)
        return taken

    async def _beat(self, over: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        while not await self._is_over(over):
            at = loop.time()
            try:
                # One that was frozen asks once more: as long as the row is its own, it owns.
                async with asyncio.timeout_at(max(self._held_at + self._give_up, at + self._beats)):
                    renewed = await self._renew()
            except (DBAPIError, OSError) as error:  # a timeout is an OSError too
                if loop.time() >= self._held_at + self._give_up:
                    raise ConfigurationError(
                        "The database of DATABASE_URL is out of reach, so another process may "
                        f"own it by now: {_short(error)}"
                    ) from error
                logger.warning("the lease of the database is not renewed yet: %s", _short(error))
                continue
            if not renewed:
                raise ConfigurationError("Another Threadsmith has taken the database over.")
            self._held_at = at

    async def _is_over(self, over: asyncio.Event) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._beats):
                await over.wait()
        return over.is_set()

    async def _renew(self) -> bool:
        async with self._engine.begin() as connection:
            beating = update(_owner).where(_owner.c.token == self._token)
            result = await connection.execute(beating.values(beat=_owner.c.beat + 1))
            return result.rowcount == 1

    async def _release(self) -> None:
        """Lets the next process start at once."""
        try:
            async with asyncio.timeout(_RELEASE_SECONDS), self._engine.begin() as connection:
                await connection.execute(delete(_owner).where(_owner.c.token == self._token))
        except (DBAPIError, OSError) as error:
            logger.warning("the lease of the database runs out by itself: %s", _short(error))


def _short(error: Exception) -> str:
    """Returns the driver's own message; SQLAlchemy adds lines for programmers."""
    return str(error.orig if isinstance(error, DBAPIError) else error)
