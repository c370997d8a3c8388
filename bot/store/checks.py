"""The checks of the database, in a file or on a server, of its disk, and of who works with it."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from bot.domain.health import Finding, FindingError, broken, doubtful, fine
from bot.errors import ConfigurationError
from bot.store.database import Engines, parse_url, path_of
from bot.store.migrate import MIGRATIONS
from bot.store.ownership import holder

MIB = 1_048_576
FAIL_BYTES, WARN_BYTES = 256 * MIB, 2_048 * MIB
FAIL_INODES, WARN_INODES = 0.01, 0.05
BUSY_SECONDS = 5.0
_ANSWER_SECONDS = 5.0
_DRIVER = "Install the driver beside Threadsmith: `pip install asyncpg`, or take SQLite."
_REACH = "Start the server, or correct the host, the database and the user in DATABASE_URL."
_WRITABLE = "Give this user the folder and its files: `chown -R USER DATA_DIR`."
_ROOM = "Make room: `threadsmith prune`, `docker image prune`, old files."


async def database(address: str, busy_seconds: float = BUSY_SECONDS) -> Finding:
    """Checks whether the database can be written to and is of this version."""
    url = parse_url(address)
    path = path_of(url)
    if path is None:
        return await _on_server(url)
    return await asyncio.to_thread(_try_write, path, busy_seconds)


def _try_write(path: Path, busy_seconds: float) -> Finding:
    if not path.exists():
        return _creatable(path.parent)
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    try:
        with _open(path, "rw", busy_seconds) as connection:
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            # A real commit that changes nothing: the number is nobody's and stays what it is.
            (number,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version={int(number)}")
            connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        return _trouble(path, str(error))
    except sqlite3.DatabaseError as error:
        return broken(f"{path}: {error}", "Restore the newest backup beside it.")
    known = {script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()}
    if row and row[0] not in known:
        return broken(f"{path} was written by a newer version ({row[0]})", "Update Threadsmith.")
    if row and row[0] != head:
        return fine(f"{path} takes writes; the next start upgrades it from {row[0]}")
    return fine(f"{path} takes writes")


def _creatable(folder: Path) -> Finding:
    existing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        return broken(f"{existing} cannot be written", _WRITABLE)
    return fine(f"the first start makes it in {folder}")


def _trouble(path: Path, text: str) -> Finding:
    low = text.lower()
    if "full" in low or "disk i/o" in low:
        return broken(f"{path}: {text}", _ROOM)
    if "readonly" in low or "unable to open" in low:
        return broken(f"{path} cannot be written: {text}", _WRITABLE)
    if "no such table" in low:
        return broken(f"{path} is no database of Threadsmith", "Set DATABASE_URL to one.")
    return broken(f"{path}: {text}", "Look which program holds it: `fuser -v` on that file.")


async def _on_server(url: URL) -> Finding:
    """Checks whether the server accepts the bot, takes writes, and is of this version."""
    place = f"{url.host or 'the local server'}/{url.database or ''}"
    try:
        engines = Engines.of(url)
    except ConfigurationError as error:
        return broken(str(error), _DRIVER)
    try:
        async with asyncio.timeout(_ANSWER_SECONDS), engines.writer.begin() as connection:
            only_reads = await connection.scalar(text("SHOW transaction_read_only"))
            if only_reads == "on":
                return broken(f"{place} takes no writes", "Name the primary in DATABASE_URL.")
            if await connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
                return fine(f"the first start makes the tables in {place}")
            # A real write that changes nothing.
            row = await connection.execute(
                text("UPDATE alembic_version SET version_num = version_num RETURNING version_num")
            )
            version = row.scalar()
    except (SQLAlchemyError, OSError, TimeoutError) as error:
        cause = getattr(error, "orig", None) or error
        lines = str(cause).strip().splitlines()[:1] or [type(cause).__name__]
        return broken(f"{place} does not take us in: {lines[0][:200]}", _REACH)
    finally:
        await engines.writer.dispose()
    return _of_version(place, str(version))


def _of_version(place: str, version: str) -> Finding:
    scripts = ScriptDirectory(str(MIGRATIONS))
    if version not in {script.revision for script in scripts.walk_revisions()}:
        return broken(f"{place} was written by a newer version ({version})", "Update Threadsmith.")
    if version != scripts.get_current_head():
        return fine(f"{place} takes writes; the next start upgrades it from {version}")
    return fine(f"{place} takes writes")


async def events(address: str, data_dir: Path) -> Finding:
    """Checks whether a bot runs here, and when it received an event of Slack last."""
    who = await asyncio.to_thread(holder, data_dir)
    path = path_of(parse_url(address))
    last: float | None = None
    if path is not None and path.exists():
        with contextlib.suppress(sqlite3.OperationalError):
            last = await asyncio.to_thread(_read_number, path, "SELECT max(received_at) FROM inbox")
    heard = f"heard from Slack {_ago(time.time() - last)} ago" if last else "never heard from Slack"
    if not who:
        return doubtful(f"no bot runs with {data_dir}; it {heard}", "Start it: `make run`.")
    if not last:
        step = (
            "Write to the bot. If this stays so: Event Subscriptions and Socket Mode must be on; "
            "paste manifest.yml again and reinstall the app."
        )
        return doubtful(f"a bot runs ({who}) and {heard}", step)
    return fine(f"a bot runs ({who}) and {heard}")


async def channels(address: str) -> Sequence[str]:
    """Returns the channels in which agents were started last."""
    path = path_of(parse_url(address))
    if path is None or not path.exists():
        return ()
    query = (
        "SELECT DISTINCT channel FROM agent WHERE channel NOT LIKE 'D%' "
        "ORDER BY created_at DESC LIMIT 20"
    )

    def read() -> Sequence[str]:
        with _open(path, "ro") as connection:
            return [str(row[0]) for row in connection.execute(query)]

    try:
        return await asyncio.to_thread(read)
    except sqlite3.DatabaseError as error:
        raise FindingError(_trouble(path, str(error))) from error


async def disk_space(folders: Sequence[Path]) -> Finding:
    """Checks whether the disks of these folders have space and inodes left."""
    states = []
    for folder in dict.fromkeys(folders):
        existing = next((path for path in (folder, *folder.parents) if path.exists()), None)
        if existing is None:
            continue
        free, inodes = shutil.disk_usage(existing).free, _free_inodes(existing)
        state = f"{folder}: {_size(free)} free, {inodes:.0%} of the inodes"
        if free < FAIL_BYTES or inodes < FAIL_INODES:
            return broken(state, _ROOM)
        if free < WARN_BYTES or inodes < WARN_INODES:
            return doubtful(state, _ROOM)
        states.append(state)
    return fine("; ".join(states))


def _free_inodes(folder: Path) -> float:
    """Returns the free share of the inodes; 1.0 where the file system makes them as needed."""
    status = os.statvfs(folder)
    return status.f_favail / status.f_files if status.f_files else 1.0


def _read_number(path: Path, query: str) -> float | None:
    with _open(path, "ro") as connection:
        row = connection.execute(query).fetchone()
    return None if row is None or row[0] is None else float(row[0])


@contextlib.contextmanager
def _open(
    path: Path, mode: str, busy_seconds: float = BUSY_SECONDS
) -> Iterator[sqlite3.Connection]:
    """Opens a connection that never makes the file, and begins no transaction by itself."""
    connection = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode={mode}",
        uri=True,
        timeout=busy_seconds,
        isolation_level=None,
    )
    try:
        yield connection
    finally:
        connection.close()


def _ago(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _size(count: int) -> str:
    return f"{count / MIB / 1024:.1f} GiB" if count >= 1_024 * MIB else f"{count / MIB:.0f} MiB"
