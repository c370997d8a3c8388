"""How long a bridge process takes from its start to its first answer."""

import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import aiohttp

from benchmarks.processes import BenchmarkError, Server, bridge_running, floor_running
from benchmarks.report import Row, Sample

_ROUNDS = 9


async def measure(scratch: Path) -> list[Row]:
    """Start both in turn; the first start of each is not counted, it compiles and fills caches."""
    ours: list[float] = []
    floor: list[float] = []
    async with aiohttp.ClientSession() as session:
        for counted in (False, *(True,) * _ROUNDS):
            for times, starting in ((ours, bridge_running(scratch)), (floor, floor_running())):
                seconds = await _first_answer(session, starting)
                if counted:
                    times.append(seconds)
    return [
        Row(
            "process start to first /health",
            Sample.milliseconds(ours),
            Sample.milliseconds(floor),
            "a bare aiohttp server",
        )
    ]


async def _first_answer(
    session: aiohttp.ClientSession, starting: AbstractAsyncContextManager[Server]
) -> float:
    async with starting as server:
        async with session.get(f"{server.url}/health") as response:
            await response.read()
            if response.status != 200:
                raise BenchmarkError(f"/health answered with status {response.status}.")
        return time.monotonic() - server.began
