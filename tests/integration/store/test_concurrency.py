"""Writers side by side, killed processes, and processes that start at the same time."""

import asyncio
import sqlite3
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from bot.domain.agent import Agent, RepoRef
from bot.store.agents import SqlStore

WRITER = Path(__file__).with_name("writer.py")
ROOT = Path(__file__).parents[3]
AGENT = Agent("a", "T", "C", None, RepoRef("o", "n"), None, "b", "t", "m", 15, "U", 1.0)


async def start_writer(mode: str, path: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, str(WRITER), mode, str(path),
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def count_up(store: SqlStore) -> None:
    for _ in range(25):
        async with store.transaction() as tx:
            agent = await tx.agent("a")
            assert agent
            await tx.save_agent(replace(agent, step=agent.step + 1))


async def counted(store: SqlStore) -> int:
    agent = await store.agent("a")
    assert agent
    return agent.step


async def test_twenty_writers_lose_no_update_and_see_no_lock(store: SqlStore) -> None:
    async with store.transaction() as tx:
        await tx.add_agent(AGENT)
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(count_up(store))
    assert await counted(store) == 500


async def test_two_stores_on_one_file_lose_no_update(store: SqlStore, tmp_path: Path) -> None:
    other = await SqlStore.open(f"sqlite+aiosqlite:///{tmp_path / 'bot.db'}", tmp_path)
    try:
        async with store.transaction() as tx:
            await tx.add_agent(AGENT)
        async with asyncio.TaskGroup() as group:
            for which in (store, other) * 3:
                group.create_task(count_up(which))
        assert await counted(other) == 150
    finally:
        await other.close()


async def test_a_killed_writer_loses_no_commit_that_it_reported(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    for round_number in range(3):
        writer = await start_writer("forever", path)
        assert writer.stdout
        reported = 0
        while reported < 10 + round_number * 7:
            reported = int(await writer.stdout.readline())
        writer.kill()
        remaining = (await writer.stdout.read()).decode().split("\n")[:-1]
        reported = int(remaining[-1]) if remaining else reported
        await writer.wait()
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            (claims,) = connection.execute("SELECT count(*) FROM claim").fetchone()
            (inputs,) = connection.execute("SELECT count(*) FROM inbox").fetchone()
            connection.execute("DELETE FROM claim")
            connection.execute("DELETE FROM inbox")
            connection.commit()
        assert claims >= reported
        assert inputs >= reported


async def test_processes_that_start_together_all_open_the_new_database(tmp_path: Path) -> None:
    path = tmp_path / "bot.db"
    writers = [await start_writer("once", path) for _ in range(3)]
    outputs = await asyncio.gather(*(writer.communicate() for writer in writers))
    assert [output for output, _ in outputs] == [b"opened\n"] * 3
