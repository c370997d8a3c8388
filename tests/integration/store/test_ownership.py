"""Two processes never work with the same data; the next one starts when the first is gone."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bot.errors import ConfigurationError
from bot.store.database import migration_engine, parse_url
from bot.store.ownership import Lease, owned

HOLDER = Path(__file__).with_name("holder.py")
ROOT = Path(__file__).parents[3]
LEASE = 1.0
# A slow machine may take this much longer than the clock that is measured.
SLACK = 1.0


def database(folder: Path) -> str:
    return f"sqlite+aiosqlite:///{folder / 'bot.db'}"


def lease(folder: Path, who: str = "the second") -> Lease:
    engine = migration_engine(parse_url(database(folder)))
    return Lease(engine, who, lease_seconds=LEASE)


def soon(seconds: float = 20.0) -> float:
    return asyncio.get_running_loop().time() + seconds


@asynccontextmanager
async def another_process(
    folder: Path, lease_seconds: float = 0
) -> AsyncIterator[asyncio.subprocess.Process]:
    """One that owns the data already."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HOLDER), str(folder), str(lease_seconds),
        cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"mine\n"
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until_logged(caplog: pytest.LogCaptureFixture, words: str) -> None:
    async with asyncio.timeout(10):
        while words not in caplog.text:
            await asyncio.sleep(0.01)  # a log has no event that could be awaited


async def test_after_a_kill_the_next_one_starts_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    async with another_process(tmp_path) as first:
        entered = asyncio.Event()

        async def second() -> float:
            async with owned(database(tmp_path), tmp_path):
                entered.set()
                return loop.time()

        waiting = asyncio.create_task(second())
        await until_logged(caplog, "waiting for it")
        assert f"process {first.pid} on " in caplog.text
        assert not entered.is_set()
        killed_at = loop.time()
        first.send_signal(signal.SIGKILL)
        assert await waiting - killed_at < SLACK


async def test_a_second_one_that_waited_long_enough_ends_with_one_clear_line(
    tmp_path: Path,
) -> None:
    async with another_process(tmp_path) as first:
        with pytest.raises(ConfigurationError) as refused:
            async with owned(database(tmp_path), tmp_path, wait_seconds=0.2):
                pytest.fail("both of them own the data")
    sentence = str(refused.value)
    assert f"Another Threadsmith (process {first.pid} on " in sentence
    assert f"works with {tmp_path}. End that one first" in sentence
    assert "\n" not in sentence


async def test_one_database_of_two_data_directories_has_one_owner(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    async with owned(database(tmp_path), here):
        with pytest.raises(ConfigurationError, match=r"works with .*bot\.db"):
            async with owned(database(tmp_path), there, wait_seconds=0):
                pytest.fail("both of them own the database")
        async with owned(database(there), there):
            pass
    async with owned(database(tmp_path), there):
        assert (there / "owner").stat().st_mode & 0o777 == 0o600


async def test_who_waits_may_be_ended(tmp_path: Path) -> None:
    async def second() -> None:
        async with owned(database(tmp_path), tmp_path):
            pytest.fail("both of them own the data")

    async with owned(database(tmp_path), tmp_path):
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with owned(database(tmp_path), tmp_path, wait_seconds=0):
        pass


async def test_the_lease_of_a_killed_process_is_taken_over_and_of_a_living_one_is_not(
    tmp_path: Path,
) -> None:
    loop = asyncio.get_running_loop()
    async with another_process(tmp_path, LEASE) as first:
        with pytest.raises(ConfigurationError, match=r"Another Threadsmith \(a process\)"):
            async with lease(tmp_path).held(soon(2 * LEASE)):
                pytest.fail("both of them own the database")
        killed_at = loop.time()
        first.send_signal(signal.SIGKILL)
        async with lease(tmp_path).held(soon()):
            assert loop.time() - killed_at < 2 * LEASE + SLACK


async def test_a_lease_that_is_given_back_is_free_at_once(tmp_path: Path) -> None:
    for _ in range(3):
        async with lease(tmp_path).held(soon(0)):
            pass


async def test_of_many_at_once_one_owns(tmp_path: Path) -> None:
    owners = 0

    async def one(number: int) -> None:
        nonlocal owners
        async with lease(tmp_path, str(number)).held(soon()):
            owners += 1
            assert owners == 1
            await asyncio.sleep(0.01)
            owners -= 1

    # SQLite does not wait where two make the same file.
    async with lease(tmp_path).held(soon()):
        pass
    async with asyncio.TaskGroup() as group:
        # SQLite gives its lock to whoever asks at the right moment; more would starve one of them.
        for number in range(4):
            group.create_task(one(number))


async def test_an_owner_that_was_frozen_and_replaced_ends(tmp_path: Path) -> None:
    cut = asyncio.Event()

    async def first(begun: asyncio.Event) -> None:
        async with lease(tmp_path, "the first").held(soon()):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cut.set()

    begun = asyncio.Event()
    owning = asyncio.create_task(first(begun))
    await begun.wait()
    # What a process that took over meanwhile has written.
    await statement(tmp_path, "UPDATE owner SET token = 'the other one'")
    with pytest.raises(ConfigurationError, match="has taken the database over"):
        await owning
    assert cut.is_set()


@pytest.mark.parametrize("trouble", ["DROP TABLE owner", "ALTER TABLE owner RENAME TO away"])
async def test_an_owner_that_cannot_reach_its_row_gives_up_before_the_lease_is_over(
    tmp_path: Path, trouble: str
) -> None:
    loop = asyncio.get_running_loop()
    begun_at = loop.time()

    async def owner() -> None:
        async with lease(tmp_path).held(soon()):
            await statement(tmp_path, trouble)
            await asyncio.Event().wait()

    with pytest.raises(ConfigurationError, match="out of reach"):
        await owner()
    assert loop.time() - begun_at < LEASE + SLACK


async def test_an_error_of_the_block_is_the_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        async with lease(tmp_path).held(soon()):
            raise ZeroDivisionError


async def statement(folder: Path, words: str) -> None:
    engine = migration_engine(parse_url(database(folder)))
    async with engine.begin() as connection:
        await connection.exec_driver_sql(words)
    await engine.dispose()
