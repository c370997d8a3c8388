import asyncio
from collections.abc import Callable

import pytest

from bot.agents.lifecycle.background_loops import (
    LONGEST_WAIT_SECONDS,
    RAN_WELL_SECONDS,
    REPORTED_FAILURES,
    FailingLoop,
    LoopSupervisor,
    loops_finding,
)
from bot.domain.health import Verdict


class Time:
    """Passes at once where somebody waits, unless it is `held`."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.waits: list[float] = []
        self.waiting = asyncio.Event()
        self.held = False

    async def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.waiting.set()
        if self.held:
            await asyncio.Event().wait()
        self.now += seconds
        await asyncio.sleep(0)


class Failing:
    """Fails so many times, each after `ran` seconds, then runs until cancelled."""

    def __init__(
        self, clock: Time, times: int, ran: Callable[[int], float] = lambda _: 0.0
    ) -> None:
        self._clock, self._times, self._ran = clock, times, ran
        self.starts = 0
        self.runs = asyncio.Event()

    async def run(self) -> None:
        self.starts += 1
        if self.starts <= self._times:
            self._clock.now += self._ran(self.starts)
            raise ValueError("a bug")
        self.runs.set()
        await asyncio.Event().wait()


def supervising(clock: Time) -> LoopSupervisor:
    return LoopSupervisor(lambda: clock.now, clock.wait)


async def test_a_loop_that_fails_is_started_again_and_disturbs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Time()
    loops, bad, good = supervising(clock), Failing(clock, 2), Failing(clock, 0)
    loops.start("good", good.run)
    loops.start("bad", bad.run)
    await bad.runs.wait()
    assert (bad.starts, good.starts, clock.waits) == (3, 1, [1.0, 2.0])
    assert "the background loop 'bad' failed (2 in a row); it starts again in 2 s" in caplog.text
    assert "ValueError: a bug" in caplog.text
    assert not loops.failing()
    await loops.cancel()


async def test_the_waits_grow_up_to_a_bound_and_begin_anew_after_a_good_run() -> None:
    clock = Time()
    bad = Failing(clock, 9, lambda start: RAN_WELL_SECONDS if start == 9 else 30.0)
    loops = supervising(clock)
    loops.start("bad", bad.run)
    await bad.runs.wait()
    assert clock.waits == [1, 2, 4, 8, 16, 32, LONGEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, 1]
    await loops.cancel()


async def test_ten_failures_in_a_row_are_named_by_the_doctor_until_it_runs_well() -> None:
    clock = Time()
    loops, nine = supervising(clock), Failing(clock, REPORTED_FAILURES - 1)
    ten, good = Failing(clock, REPORTED_FAILURES), Failing(clock, 0)
    for name, loop in (("nine", nine), ("ten", ten), ("good", good)):
        loops.start(name, loop.run)
    await nine.runs.wait()
    await ten.runs.wait()
    assert loops.failing() == [FailingLoop("ten", 10, "ValueError")]
    finding = loops_finding(loops.failing())
    assert finding.verdict is Verdict.FAIL
    assert "ten (10 failures in a row, ValueError)" in finding.state
    clock.now += RAN_WELL_SECONDS
    assert loops_finding(loops.failing()).verdict is Verdict.OK
    await loops.cancel()


async def test_a_loop_that_waits_for_its_next_start_ends_at_once() -> None:
    clock = Time()
    clock.held = True
    loops, bad, good = supervising(clock), Failing(clock, 1), Failing(clock, 0)
    loops.start("bad", bad.run)
    loops.start("good", good.run)
    await clock.waiting.wait()
    async with asyncio.timeout(5):
        await loops.cancel("bad")
    assert loops._supervisor.running("good")
    assert not loops._supervisor.running("bad")
    async with asyncio.timeout(5):
        await loops.cancel()
    assert (bad.starts, good.starts) == (1, 1)


async def test_a_loop_that_has_nothing_to_do_is_not_started_again() -> None:
    clock, starts = Time(), list[int]()

    async def returns() -> None:
        starts.append(1)

    loops = supervising(clock)
    loops.start("idle", returns)
    while loops._supervisor.running("idle"):
        await asyncio.sleep(0)
    assert (starts, clock.waits, loops.failing()) == ([1], [], [])
