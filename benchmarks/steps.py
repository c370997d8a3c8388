"""What a tool step costs when the model takes no time, and whether it grows with the history."""

import asyncio
import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.model import KEY, KINDS, PATTERN
from benchmarks.processes import BenchmarkError, Server, model_running
from benchmarks.report import Row, Sample
from benchmarks.tasks import agent_at_work

_SHORT, _SHORT_RUNS = 15, 6
_LONG, _LONG_RUNS = 300, 3
_EARLY, _LATE = (16, 75), (241, 300)
_FSYNCS = 60
_PROGRAM_RUNS = 20
_PROGRAMS = {
    "status": ("git", "status", "--porcelain=v2", "--branch"),
    "search": ("rg", "--line-number", "--sort=path", PATTERN, "."),
}
_RAW = "raw aiohttp request, same body"


@dataclass(frozen=True, slots=True)
class _Run:
    """Seconds of each step: the whole of it, and what is left of it without the model's answer."""

    steps: tuple[float, ...]
    overheads: tuple[float, ...]

    def of_kind(self, kind: str) -> "_Run":
        part = slice(KINDS.index(kind), None, len(KINDS))
        return _Run(self.steps[part], self.overheads[part])

    def between(self, first: int, last: int) -> "_Run":
        """These steps, counted from 1; the first has to be of the first kind."""
        part = slice(first - 1, last)
        return _Run(self.steps[part], self.overheads[part])


async def measure(scratch: Path) -> list[Row]:
    """A step is the time from one request of the bridge, as the model sees it, to the next."""
    floor: list[float] = []
    async with aiohttp.ClientSession() as session, model_running() as model:
        short = [await _run(scratch, model, session, _SHORT, floor) for _ in range(_SHORT_RUNS)]
        long = [await _run(scratch, model, session, _LONG) for _ in range(_LONG_RUNS)]
    programs = {
        kind: await _bare_program(scratch / "sample", argv) for kind, argv in _PROGRAMS.items()
    }
    disk = Sample.milliseconds(_appends_on_disk(scratch))
    return [
        Row(f"a step, {_SHORT} mixed steps", _means(short, "steps"), _ms(floor), _RAW),
        Row("  of it without the model's answer", _means(short, "overheads")),
        *(_kind_row(kind, short, programs.get(kind)) for kind in KINDS),
        *_growth(long),
        Row("one line made durable on this disk", disk),
    ]


def _kind_row(kind: str, runs: Sequence[_Run], program: Sample | None) -> Row:
    ours = _ms([value for run in runs for value in run.of_kind(kind).overheads])
    if program is None:
        return Row(f"  of it in a {kind} step", ours)
    return Row(f"  of it in a {kind} step", ours, program, f"{_PROGRAMS[kind][0]} alone")


def _growth(long: Sequence[_Run]) -> list[Row]:
    """The end against what follows the first 15 steps, both without the model's answer: the
    scripted model compares prompts, which takes it longer the longer they are."""

    def row(name: str, kind: str | None = None) -> Row:
        early, late = (
            [run.between(*part).of_kind(kind) if kind else run.between(*part) for run in long]
            for part in (_EARLY, _LATE)
        )
        floor_name = "the same, steps {} to {}".format(*_EARLY)
        return Row(name, _means(late, "overheads"), _means(early, "overheads"), floor_name)

    return [
        row("without the model's answer, steps {} to {}".format(*_LATE)),
        *(row(f"  of it in a {kind} step", kind) for kind in KINDS),
    ]


async def _run(
    scratch: Path,
    model: Server,
    session: aiohttp.ClientSession,
    steps: int,
    floor: list[float] | None = None,
) -> _Run:
    """One task; `floor` takes the mean of bare requests with the same bodies."""
    async with agent_at_work(scratch, model, session) as agent:
        await _take(model, session)
        await agent.perform(steps)
        times, bodies = await _take(model, session)
    if len(times) != steps + 1:
        raise BenchmarkError(f"{steps} steps made {len(times)} requests.")
    if floor is not None:
        bare = [await _raw(model, session, body) for body in [bodies[0], *bodies]][1:]
        floor.append(statistics.fmean(bare[:steps]))
        await _take(model, session)
    pairs = list(pairwise(times))
    return _Run(
        tuple(after[0] - before[0] for before, after in pairs),
        tuple(after[0] - before[1] for before, after in pairs),
    )


async def _take(
    model: Server, session: aiohttp.ClientSession
) -> tuple[list[tuple[float, float]], list[dict[str, Any]]]:
    """When each request began to arrive and when its answer was out, and the bodies."""
    async with session.post(f"{model.url}/take") as response:
        taken = await response.json()
    return [(began, ended) for began, ended in taken["times"]], taken["bodies"]


async def _raw(model: Server, session: aiohttp.ClientSession, body: dict[str, Any]) -> float:
    began = time.monotonic()
    async with session.post(
        f"{model.url}/v1/chat/completions",
        json=body,
        headers={"Authorization": f"Bearer {KEY}"},
    ) as response:
        response.raise_for_status()
        await response.read()
    return time.monotonic() - began


async def _bare_program(directory: Path, argv: Sequence[str]) -> Sample:
    """The program below a tool, started by asyncio and nothing around it."""
    times = []
    for _ in range(_PROGRAM_RUNS):
        began = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        await process.communicate()
        times.append(time.monotonic() - began)
    return _ms(times)


def _appends_on_disk(scratch: Path) -> list[float]:
    """The bridge makes each step durable, so the disk is the floor below it."""
    times = []
    descriptor = os.open(scratch / "fsync", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for _ in range(_FSYNCS):
            began = time.monotonic()
            os.write(descriptor, b"x" * 400 + b"\n")
            os.fdatasync(descriptor)
            times.append(time.monotonic() - began)
    finally:
        os.close(descriptor)
    return times


def _means(runs: Sequence[_Run], part: str) -> Sample:
    """The mean step of each run: a median over kinds so different would be that of one kind."""
    return _ms([statistics.fmean(getattr(run, part)) for run in runs])


def _ms(seconds: Sequence[float]) -> Sample:
    return Sample.milliseconds(seconds)
