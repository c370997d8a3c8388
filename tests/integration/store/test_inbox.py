"""Inputs that arrive together are stored together, and each has an outcome of its own."""

import asyncio
import random
from collections.abc import Sequence

import pytest
from sqlalchemy import event

from bot.errors import StoreUnavailable
from bot.store.agents import SqlStore
from bot.store.database import Engines, StoreConnection
from bot.store.inbox import GroupCommit
from tests.integration.store.test_trouble import limit_pages


class Commits:
    """Counts the commits of a store's writer."""

    def __init__(self, engines: Engines) -> None:
        self.count = 0
        event.listen(engines.writer.sync_engine, "commit", self._committed)

    def _committed(self, _connection: object) -> None:
        self.count += 1


async def test_a_hundred_inputs_at_once_cost_a_few_commits(store: SqlStore) -> None:
    commits, inbox = Commits(store._engines), store.inbox_rows
    ids = await asyncio.gather(*(inbox.store(f"event {n}", {"n": n}) for n in range(100)))
    assert ids == sorted(id_ for id_ in ids if id_ is not None)
    assert [row.body["n"] for row in await inbox.unfinished()] == list(range(100))
    await asyncio.gather(*(inbox.finish(id_) for id_ in ids if id_ is not None))
    assert await inbox.unfinished() == []
    assert commits.count <= 6


async def test_more_than_one_statement_takes_are_all_stored(store: SqlStore) -> None:
    stores = (store.inbox_rows.store(f"event {n}", {}) for n in range(1_200))
    assert len(set(await asyncio.gather(*stores))) == 1_200


async def test_the_same_input_many_times_at_once_is_new_once(store: SqlStore) -> None:
    stores = (store.inbox_rows.store(f"event {n % 3}", {}) for n in range(60))
    row_ids = await asyncio.gather(*stores)
    assert len([id_ for id_ in row_ids if id_ is not None]) == 3
    assert [id_ is not None for id_ in row_ids[:4]] == [True, True, True, False]


async def test_a_trouble_is_told_to_everyone_and_passes(store: SqlStore) -> None:
    await limit_pages(store._engines, 0)
    big = {"text": "x" * 300_000}
    stores = [store.inbox_rows.store(f"event {n}", big) for n in range(20)]
    outcomes = await asyncio.gather(*stores, return_exceptions=True)
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    await limit_pages(store._engines, 1_000_000)
    assert await store.inbox_rows.store("event 1", big) is not None


async def test_who_is_cancelled_takes_nobody_along(store: SqlStore) -> None:
    """An input of a cancelled delivery may be stored or not; every other one is new, once."""
    chance = random.Random(7)
    for number in range(60):
        names = [f"event {number} {n}" for n in range(12)]
        tasks = [asyncio.ensure_future(store.inbox_rows.store(name, {})) for name in names]
        cut = chance.sample(range(12), 6)
        for _ in range(chance.randrange(30)):
            await asyncio.sleep(0)
        for n in cut:
            tasks[n].cancel()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for n, outcome in enumerate(outcomes):
            assert isinstance(outcome, int) or (n in cut), (n, outcome)
    stored = {row.id for row in await store.inbox_rows.unfinished()}
    assert len(stored) >= 60 * 6


async def test_what_waits_for_a_cancelled_one_is_not_forgotten(store: SqlStore) -> None:
    seen: list[int] = []

    async def write(_connection: StoreConnection, values: Sequence[int]) -> Sequence[int]:
        seen.extend(values)
        return [-value for value in values]

    group = GroupCommit(store._engines, write)
    async with store.transaction():
        first = asyncio.ensure_future(group.put(1))
        second = asyncio.ensure_future(group.put(2))
        third = asyncio.ensure_future(group.put(3))
        await asyncio.sleep(0)
        second.cancel()
        first.cancel()
        await asyncio.sleep(0)
    assert await third == -3
    with pytest.raises(asyncio.CancelledError):
        await first
    assert seen == [1, 3]
