"""How long an event is on its way: from the moment the bridge made it to the bot's client."""

import json
import time
from pathlib import Path

import aiohttp

from benchmarks.model import TALKING
from benchmarks.processes import floor_running, model_running
from benchmarks.report import Row, Sample
from benchmarks.tasks import Seen, agent_at_work
from bridge.protocol import StepStarted, ToolFinished

_STEPS, _RUNS = 30, 3
_FRAMES = 300
_FLOOR = "SSE from a bare aiohttp server"


async def measure(scratch: Path) -> list[Row]:
    """Both ends read the clock of this machine: `event.at` against the arrival."""
    seen: list[Seen] = []
    async with aiohttp.ClientSession() as session, floor_running() as server:
        floor = Sample.milliseconds(await _floor(session, server.url))
        async with model_running() as model, agent_at_work(scratch, model, session) as agent:
            for _ in range(_RUNS):
                seen += _when_connected(await agent.perform(_STEPS, TALKING))
    stored = Sample.milliseconds(s.at - s.event.at for s in seen if s.event.seq)
    tools = Sample.milliseconds(
        s.at - s.event.at for s in seen if isinstance(s.event, ToolFinished)
    )
    passing = Sample.milliseconds(s.at - s.event.at for s in seen if not s.event.seq)
    return [
        Row("a stored event to the bot's client", stored, floor, _FLOOR),
        Row("  of them, a tool's end", tools, floor, _FLOOR),
        Row("a fragment of text to the bot's client", passing, floor, _FLOOR),
    ]


def _when_connected(seen: list[Seen]) -> list[Seen]:
    """The events from the second step on: the first ones may be older than the connection."""
    for index, item in enumerate(seen):
        if isinstance(item.event, StepStarted) and item.event.step == 2:
            return seen[index:]
    return []


async def _floor(session: aiohttp.ClientSession, url: str) -> list[float]:
    times: list[float] = []
    rest = b""
    async with session.get(f"{url}/stream", params={"count": str(_FRAMES)}) as response:
        async for chunk in response.content.iter_any():
            now = time.time()
            *frames, rest = (rest + chunk).split(b"\n\n")
            times += (now - json.loads(frame.split(b"data: ", 1)[1])["at"] for frame in frames)
    return times
