from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bot.app.fault_injection import CrashPoints


class _Store:
    """Opens transactions that write nothing."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield


async def test_a_transaction_bears_the_name_of_the_function_that_writes(tmp_path: Path) -> None:
    path = tmp_path / "points"
    store = CrashPoints(f"?{path}").around("store", _Store())

    @asynccontextmanager
    async def press() -> AsyncIterator[None]:
        async with store.transaction():
            yield

    async def write() -> None:
        async with store.transaction():
            pass

    async def undo() -> None:
        async with press():
            pass

    await write()
    await undo()
    names = [line.rpartition(".<locals>.")[2] for line in path.read_text().splitlines()]
    assert names == ["write).before", "write).after", "undo).before", "undo).after"]
