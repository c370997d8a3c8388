"""A writer that is cut off anywhere leaves nothing half-written and no lock behind."""

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.store.database import Engines, parse_url

ROUNDS = 300
# A lock that is left behind is waited for 15 seconds.
LATER_SECONDS = 10.0


@pytest.fixture
async def engines(tmp_path: Path) -> Engines:
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE pair (id INTEGER PRIMARY KEY, side TEXT)")
        connection.commit()
    return Engines.of(parse_url(f"sqlite:///{path}"))


async def write_pair(engines: Engines, number: int) -> None:
    """Both rows or none."""
    async with engines.writing(durable=number % 3 == 0) as connection:
        for side in (0, 1):
            row = {"id": 2 * number + side, "side": "lr"[side]}
            await connection.execute(text("INSERT INTO pair VALUES (:id, :side)"), row)
            result = await connection.execute(text("SELECT id FROM pair ORDER BY id"))
            result.fetchone()


async def cut(task: asyncio.Task[None], chance: random.Random) -> None:
    """Cancel once or twice, after some turns of the loop or some fraction of a millisecond."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        if chance.random() < 0.5:
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
        else:
            await asyncio.sleep(chance.random() * 0.004)
        task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("seed", range(3))
async def test_hundreds_of_cancelled_writers_leave_no_lock_and_no_half_pair(
    engines: Engines, seed: int
) -> None:
    chance = random.Random(seed)
    slowest = 0.0
    loop = asyncio.get_running_loop()
    for number in range(ROUNDS):
        waiting = [
            loop.create_task(write_pair(engines, 10 * number + n))
            for n in range(chance.choice((1, 2, 4)))
        ]
        async with asyncio.TaskGroup() as group:
            for task in waiting:
                group.create_task(cut(task, chance))
        began = loop.time()
        await write_pair(engines, 10 * number + 9)
        slowest = max(slowest, loop.time() - began)
    count = text("SELECT id / 2 AS pair, count(*) AS sides FROM pair GROUP BY 1")
    async with engines.reading() as connection:
        rows = (await connection.execute(count)).all()
    await engines.close()
    assert {row.sides for row in rows} == {2}
    assert {10 * number + 9 for number in range(ROUNDS)} <= {row.pair for row in rows}
    assert slowest < LATER_SECONDS
