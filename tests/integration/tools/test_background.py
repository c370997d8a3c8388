"""Declared processes: they outlive their call, and nothing else of them does."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bridge.errors import ToolError
from bridge.process.background import Processes
from bridge.tools.base import ToolContext, ToolResult
from tests.integration.tools.conftest import Call

SERVER = "import sys, time; print('up', flush=True); time.sleep(60)"
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen(["sleep", "60"], start_new_session=True)
print("child", child.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
async def context(context: ToolContext) -> AsyncIterator[ToolContext]:
    yield context
    await context.processes.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def start(call: Call, script: str) -> ToolResult:
    return await call("start_process", command=["python3", "-c", script])


async def test_a_process_goes_on_is_read_and_stopped(call: Call) -> None:
    started = await start(call, SERVER)
    assert started.ok
    assert started.text.startswith("p1 was started. p1: running for")
    assert "up" in started.text
    assert (await call("run_command", command="echo between")).ok
    assert "New output:\n(none)" in (await call("read_process", process="p1")).text
    assert "p1: python3 -c" in (await call("read_process")).text
    assert (await call("stop_process", process="p1")).summary == "ended: stopped"
    assert (await call("stop_process", process="p1")).summary == "ended: stopped"
    assert (await call("read_process", process="p1")).summary == "ended: stopped"


async def test_what_a_process_started_lives_and_ends_with_it(call: Call) -> None:
    started = await start(call, PARENT)
    found = re.search(r"child (\d+)", started.text)
    assert found
    child = int(found[1])
    assert (await call("run_command", command="echo between")).ok
    assert is_alive(child)
    await call("stop_process", process="p1")
    assert not is_alive(child)


async def test_a_process_that_ends_says_how_and_its_output(call: Call) -> None:
    failed = await start(call, "import sys; print('why'); sys.exit(3)")
    assert not failed.ok
    assert "ended: exit code 3" in failed.text
    assert "why" in failed.text
    await start(call, "import time; time.sleep(1.5); print('late')")
    late = await call("read_process", process="p2", wait_seconds=20)
    assert (late.ok, late.summary) == (True, "ended: exit code 0")
    assert "late" in late.text


async def test_there_are_few_at_once_and_ended_ones_make_room(call: Call) -> None:
    for _ in range(4):
        await start(call, SERVER)
    with pytest.raises(ToolError, match="4 processes run already: p1"):
        await start(call, SERVER)
    await call("stop_process", process="p2")
    assert (await start(call, SERVER)).text.startswith("p5 was started")
    with pytest.raises(ToolError, match="no process 'p9'"):
        await call("stop_process", process="p9")


async def test_the_same_programs_are_allowed_as_for_commands(call: Call) -> None:
    with pytest.raises(ToolError, match="not allowed"):
        await call("start_process", command="curl http://127.0.0.1")
    with pytest.raises(ToolError, match="not understood"):
        await call("start_process", command="echo a & echo b")
    with pytest.raises(ToolError, match="no such file"):
        await call("start_process", command="echo a", working_directory="missing")


async def test_endless_output_is_kept_from_its_end_and_the_cut_is_told(call: Call) -> None:
    loud = "import sys\nfor n in range(10**5): print(n)\nprint('end')"
    started = await start(call, loud)
    if "end" not in started.text:
        started = await call("read_process", process="p1", wait_seconds=20)
    assert "bytes cut" in started.text
    assert started.text.partition("\n\nAll:")[0].rstrip().endswith("end")
    assert len(started.text) < 45_000


async def test_a_process_ends_when_its_time_is_over(
    root: Path,
) -> None:
    processes = Processes(max_lifetime_seconds=0.3)
    command = ["python3", "-c", SERVER]
    made = await processes.start(command, cwd=root, env={"PATH": os.environ["PATH"]}, command="x")
    async with asyncio.timeout(5):
        await made.running.wait()
    assert made.state == "ended: its 0.3 s were over"
    await processes.close()
