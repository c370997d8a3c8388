"""What an idle bridge occupies, and how much more after a long task."""

from collections.abc import Iterable
from pathlib import Path

import aiohttp

from benchmarks.processes import floor_running, model_running
from benchmarks.report import Row, Sample
from benchmarks.tasks import agent_at_work

_ROUNDS = 3
_STEPS = 100
_FLOOR = "a bare aiohttp server"


async def measure(scratch: Path) -> list[Row]:
    """The model client is loaded in each: a bridge without it is not ready for a task."""
    idle: list[dict[str, float]] = []
    after: list[dict[str, float]] = []
    floor: list[dict[str, float]] = []
    async with aiohttp.ClientSession() as session, model_running() as model:
        for _ in range(_ROUNDS):
            async with floor_running() as server:
                async with session.get(f"{server.url}/health") as response:
                    await response.read()
                floor.append(_mebibytes(server.pid))
            async with agent_at_work(scratch, model, session) as agent:
                idle.append(_mebibytes(agent.server.pid))
                await agent.perform(_STEPS)
                after.append(_mebibytes(agent.server.pid))
    rows = []
    for kind in ("PSS", "RSS"):
        if not all(kind in found for found in (*idle, *after, *floor)):
            continue
        base = _sample(found[kind] for found in floor)
        growth = _sample(b[kind] - a[kind] for a, b in zip(idle, after, strict=True))
        rows.append(Row(f"{kind} of an idle bridge", _sample(f[kind] for f in idle), base, _FLOOR))
        rows.append(Row(f"  growth of {kind} by {_STEPS} steps", growth))
    return rows


def _sample(values: Iterable[float]) -> Sample:
    return Sample("MiB", tuple(values))


def _mebibytes(pid: int) -> dict[str, float]:
    """PSS is missing where the bridge hides it: from everybody but root."""
    proc = Path("/proc") / str(pid)
    try:
        lines = (proc / "smaps_rollup").read_text().splitlines()
    except PermissionError:
        lines = []
    names = {"Pss:": "PSS", "Rss:": "RSS", "VmRSS:": "RSS"}
    lines += [line for line in (proc / "status").read_text().splitlines() if "VmRSS" in line]
    words = (line.split() for line in lines)
    return {names[w[0]]: int(w[1]) / 1024 for w in words if w and w[0] in names}
