"""A full disk and a foreign lock: refused in plain words, nothing lost, and over by itself."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from bot.domain.agent import Agent, RepoRef
from bot.errors import StoreUnavailable
from bot.store.agents import SqlStore
from bot.store.database import Engines

AGENT = Agent("a", "T", "C", None, RepoRef("o", "n"), None, "b", "t", "m", 15, "U", 1.0)


async def limit_pages(engines: Engines, pages: int) -> None:
    """Let the database file grow no further than this; 0 means not at all."""
    async with engines.writer.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver
        if not pages:
            ((pages,),) = await driver.execute_fetchall("PRAGMA page_count")
        await driver.execute_fetchall(f"PRAGMA max_page_count={pages}")

    def connected(later: Any, _record: object) -> None:
        later.cursor().execute(f"PRAGMA max_page_count={pages}")

    # A cancelled transaction costs its connection; the next one finds the disk just as full.
    event.listen(engines.writer.sync_engine, "connect", connected)


async def test_a_full_disk_refuses_writes_serves_reads_and_recovers(store: SqlStore) -> None:
    async with store.transaction() as tx:
        await tx.add_agent(AGENT)
    await limit_pages(store._engines, 0)
    with pytest.raises(StoreUnavailable, match="full") as caught:
        await store.inbox_rows.store("event 1", {"text": "x" * 1_000_000})
    assert "disk is full" in caught.value.user_text
    assert await store.agent("a") == AGENT
    assert await store.inbox_rows.unfinished() == []
    await limit_pages(store._engines, 1_000_000)
    assert await store.inbox_rows.store("event 1", {"text": "x" * 1_000_000})


class ForeignLock:
    """Another program that holds the write lock until it is told to let go."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held, self._let_go = threading.Event(), threading.Event()

    def hold(self, seconds: float) -> None:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            self._held.set()
            self._let_go.wait(seconds)
            connection.execute("ROLLBACK")

    def wait_until_held(self) -> None:
        assert self._held.wait(5)

    def let_go(self) -> None:
        self._let_go.set()


async def test_a_foreign_lock_of_ten_seconds_is_waited_out_and_no_update_is_lost(
    store: SqlStore, tmp_path: Path
) -> None:
    async with store.transaction() as tx:
        await tx.add_agent(AGENT)
    lock = ForeignLock(tmp_path / "bot.db")
    holding = asyncio.create_task(asyncio.to_thread(lock.hold, 10))
    await asyncio.to_thread(lock.wait_until_held)

    async def count_up() -> None:
        async with store.transaction() as tx:
            agent = await tx.agent("a")
            assert agent
            await tx.save_agent(replace(agent, step=agent.step + 1))

    await asyncio.gather(*(count_up() for _ in range(5)), holding)
    stored = await store.agent("a")
    assert stored
    assert stored.step == 5


async def test_a_lock_that_lasts_is_refused_cleanly(store: SqlStore, tmp_path: Path) -> None:
    async with store.transaction() as tx:
        await tx.add_agent(AGENT)
    async with store._engines.writer.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver
        await driver.execute_fetchall("PRAGMA busy_timeout=50")
    lock = ForeignLock(tmp_path / "bot.db")
    holding = asyncio.create_task(asyncio.to_thread(lock.hold, 10))
    await asyncio.to_thread(lock.wait_until_held)
    with pytest.raises(StoreUnavailable) as caught:
        await store.inbox_rows.store("event 1", {})
    assert "busy" in caught.value.user_text
    assert await store.agent("a") == AGENT
    lock.let_go()
    await holding
    assert await store.inbox_rows.store("event 1", {})
