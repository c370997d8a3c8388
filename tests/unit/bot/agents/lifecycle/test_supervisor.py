import asyncio
import inspect
import io
import json
import logging

import pytest

from bot.agents.lifecycle.supervisor import Supervisor
from bot.log_setup import log_scope, make_handler
from bot.redaction import Redactor

Crashes = list[tuple[str, str]]


def supervising(crashes: Crashes) -> Supervisor:
    async def on_crash(key: str, error: Exception) -> None:
        crashes.append((key, str(error)))

    return Supervisor(on_crash)


async def waits(started: asyncio.Event) -> None:
    started.set()
    await asyncio.Event().wait()


async def fails() -> None:
    raise ValueError("a bug")


async def test_a_failure_is_reported_under_its_key_and_disturbs_nobody_else() -> None:
    crashes: Crashes = []
    supervisor, started = supervising(crashes), asyncio.Event()
    supervisor.spawn("good", waits(started))
    supervisor.spawn("bad", fails())
    await started.wait()
    await asyncio.wait([supervisor._tasks["bad"]])
    assert crashes == [("bad", "a bug")]
    assert supervisor.running("good")
    assert not supervisor.running("bad")
    await supervisor.close()


async def test_a_report_that_fails_itself_goes_no_further(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def on_crash(key: str, error: Exception) -> None:
        raise RuntimeError("no database")

    supervisor = Supervisor(on_crash)
    supervisor.spawn("bad", fails())
    await asyncio.wait([supervisor._tasks["bad"]])
    assert "the failure of bad could not be reported" in caplog.text


async def test_the_lines_of_a_task_carry_its_key_and_nothing_of_its_starter() -> None:
    stream = io.StringIO()
    handler = make_handler(stream, Redactor([]))
    logger = logging.getLogger("test.supervisor")
    logger.addHandler(handler)

    async def warns() -> None:
        logger.warning("here")

    supervisor = supervising([])
    try:
        with log_scope(agent="another", channel="C1", user="UMAL"):
            supervisor.spawn("k3f9ab", warns())
            await asyncio.wait([supervisor._tasks["k3f9ab"]])
    finally:
        logger.removeHandler(handler)
    line = json.loads(stream.getvalue())
    assert (line["agent"], line["message"]) == ("k3f9ab", "here")
    assert line.keys() == {"at", "level", "logger", "message", "agent"}


async def test_one_key_runs_once() -> None:
    supervisor, started = supervising([]), asyncio.Event()
    supervisor.spawn("a", waits(started))
    await started.wait()
    with pytest.raises(RuntimeError, match="running already"):
        supervisor.spawn("a", waits(started))
    await supervisor.close()


async def test_cancelling_waits_for_the_end_and_is_no_failure() -> None:
    crashes: Crashes = []
    supervisor, ended, started = supervising(crashes), asyncio.Event(), asyncio.Event()

    async def tidies() -> None:
        try:
            await waits(started)
        finally:
            await asyncio.sleep(0)
            ended.set()

    supervisor.spawn("a", tidies())
    await started.wait()
    await supervisor.cancel("a")
    assert ended.is_set()
    assert not supervisor.running("a")
    assert not crashes
    await supervisor.cancel("a")
    await supervisor.cancel("never there")


async def test_a_key_is_free_again_after_its_end() -> None:
    supervisor, done = supervising([]), asyncio.Event()

    async def ends() -> None:
        done.set()

    for _ in range(2):
        supervisor.spawn("a", ends())
        await asyncio.wait([supervisor._tasks["a"]])
    assert done.is_set()


async def test_closing_ends_all_and_may_be_done_twice() -> None:
    supervisor = supervising([])
    starts = [asyncio.Event() for _ in range(3)]
    for number, started in enumerate(starts):
        supervisor.spawn(str(number), waits(started))
    await asyncio.gather(*(started.wait() for started in starts))
    await supervisor.close()
    await supervisor.close()
    assert not any(supervisor.running(str(number)) for number in range(3))


async def test_a_task_that_is_cancelled_before_its_first_step_leaves_nothing_behind() -> None:
    supervisor = supervising([])
    coroutine = waits(asyncio.Event())
    supervisor.spawn("one", coroutine)
    await supervisor.cancel("one")
    assert inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED
