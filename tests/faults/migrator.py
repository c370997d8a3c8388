"""Upgrades of a database, each killed at the next one of its statements.

`migrator.py OLD FOLDER` upgrades a copy of the file OLD (or an empty one, when there is none) for
each statement, kills it there, and upgrades once more. It prints a JSON list with the version that
each death left and the one after it. The parent imports everything once and has no thread, so that
a fork is all that a new process costs.
"""

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.engine import Engine

from bot.store.database import parse_url
from bot.store.migrate import upgrade


def main(old: str, folder: str) -> None:
    """Die one statement later each time, until an upgrade has none left to die at."""
    deaths: list[dict[str, object]] = []
    while True:
        path = Path(folder) / f"{len(deaths)}.db"
        if Path(old).exists():
            shutil.copyfile(old, path)
        ended = process(path, die_at=len(deaths) + 1)
        if ended != -signal.SIGKILL:
            break
        left = version(path)
        again = process(path)
        deaths.append({"left": left, "again": again, "then": version(path)})
    print(json.dumps({"deaths": deaths, "ended": ended}))  # noqa: T201  (the answer to the test)


def process(path: Path, die_at: int = 0) -> int:
    """One start of a bot that upgrades; returns how it ended."""
    if not (child := os.fork()):
        if die_at:
            _die_at(die_at)
        asyncio.run(upgrade(parse_url(f"sqlite+aiosqlite:///{path}")))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _die_at(number: int) -> None:
    passed = 0

    def reach(*_: object) -> None:
        nonlocal passed
        passed += 1
        if passed == number:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "before_cursor_execute", reach)
    event.listen(Engine, "commit", reach)


def version(path: Path) -> str | None:
    """The version that the file is at; opening it undoes what was not committed."""
    with closing(sqlite3.connect(path)) as connection:
        [(tables,)] = connection.execute(
            "SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'"
        )
        rows = connection.execute("SELECT version_num FROM alembic_version") if tables else ()
        return next((str(row[0]) for row in rows), None)


if __name__ == "__main__":
    main(*sys.argv[1:])
