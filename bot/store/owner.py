"""One process at a time works with a data directory and a database; a second one waits, then ends.

Two at once would start each message twice and remove each other's containers. On this host the
kernel keeps the rule by locks on files: they end with their process, however it ends, so the next
one starts at once and never finds a lock that nobody holds. A database on a server may be shared
by hosts; there a row with a heartbeat keeps it (`lease`).
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bot.errors import ConfigurationError
from bot.store.engine import create_private_file, migration_engine, parse_url, path_of
from bot.store.ownership import Lease

logger = logging.getLogger(__name__)

# Longer than a lease, and longer than a process takes that is just ending politely.
WAIT_SECONDS = 30.0
# The kernel tells nobody that a lock has become free.
_LOOK_AGAIN_SECONDS = 0.1
_MOST_WORDS = 200


@asynccontextmanager
async def owned(
    database: str, data_dir: Path, *, wait_seconds: float = WAIT_SECONDS
) -> AsyncIterator[None]:
    """Be the only process with this data for the length of a block.

    Raises ConfigurationError when another one does not end within `wait_seconds`, and in the
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
    """Who works with this data directory now, for people to read; "" when nobody does."""
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
    """Hold the kernel's lock on a file; what is in the file only names who holds it."""
    await asyncio.to_thread(create_private_file, lock)
    # Kept open on purpose; not inherited by the programs that this process starts.
    file = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    try:
        await _wait_for(file, place, deadline)
        with contextlib.suppress(OSError):  # on a full disk it stays unknown
            os.truncate(file, 0)
            os.pwrite(file, _who().encode(), 0)
        yield
    finally:
        os.close(file)


async def _wait_for(file: int, place: Path, deadline: float) -> None:
    told = False
    while not _taken(file):
        holder = os.pread(file, _MOST_WORDS, 0).decode(errors="replace").strip() or "its owner"
        if asyncio.get_running_loop().time() >= deadline:
            raise ConfigurationError(
                f"Another Threadsmith ({holder}) works with {place}. End that one first, or set "
                "DATA_DIR and DATABASE_URL to places of this one's own."
            )
        if not told:
            logger.warning("another Threadsmith (%s) works with %s; waiting for it", holder, place)
        told = True
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)


def _taken(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _who() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
    return f"process {os.getpid()} on {socket.gethostname()} since {since}"
