"""An upgrade that is killed at any statement leaves the old tables, and the next one does it."""

import asyncio
import json
import os
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from bot.store.database import parse_url
from bot.store.migrate import MIGRATIONS, upgrade
from tests.e2e.conftest import ROOT

MIGRATOR = Path(__file__).with_name("migrator.py")
HEAD = ScriptDirectory(str(MIGRATIONS)).get_current_head()
FIRST = "0001"
CLAIM = ("T", "C", "1", None, 5.0)


def rows(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


def tables(path: Path) -> list[tuple[object, ...]]:
    return rows(path, "SELECT name, sql FROM sqlite_master WHERE sql NOT NULL ORDER BY name")


async def of_the_first_version(folder: Path) -> Path:
    """A database with a row, as the first version left it."""
    migrations, path = folder / "first", folder / "old.db"
    shutil.copytree(MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__"))
    for later in (migrations / "versions").glob("0*.py"):
        if not later.name.startswith(FIRST):
            later.unlink()
    await upgrade(parse_url(f"sqlite+aiosqlite:///{path}"), migrations)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO claim VALUES (?, ?, ?, ?, ?)", CLAIM)
    return path


@pytest.mark.timeout(400)
@pytest.mark.parametrize("start", ["nothing", "first"])
async def test_an_upgrade_killed_at_any_statement_leaves_the_old_tables_and_is_done_by_the_next(
    tmp_path: Path, start: str
) -> None:
    old = tmp_path / "missing.db" if start == "nothing" else await of_the_first_version(tmp_path)
    before = None if start == "nothing" else FIRST
    whole = tmp_path / "whole.db"
    if before:
        shutil.copyfile(old, whole)
    await upgrade(parse_url(f"sqlite+aiosqlite:///{whole}"))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(MIGRATOR), str(old), str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    output, _ = await process.communicate()
    result = json.loads(output)
    deaths = result["deaths"]
    print(f"{len(deaths)} deaths")  # noqa: T201  (the figure)
    assert result["ended"] == 0
    assert deaths == [{"left": before, "again": 0, "then": HEAD}] * len(deaths)
    assert len(deaths) > len(tables(whole))
    for number in range(len(deaths)):
        path = tmp_path / f"{number}.db"
        assert tables(path) == tables(whole)
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
        assert rows(path, "SELECT * FROM claim") == ([CLAIM] if before else [])
        copy = path.with_name(f"{path.name}.before-{HEAD}")
        assert copy.exists() == bool(before)
        if before:
            assert rows(copy, "SELECT version_num FROM alembic_version") == [(FIRST,)]
