import asyncio
import json
import signal
import sys
from pathlib import Path

import pytest

from bridge.protocol import Outcome, TaskFinished
from tests.integration.bridge.conftest import KEY, TOKEN, Provider, calls, running, says, spawn


async def test_a_killed_bridge_goes_on_with_its_conversation(
    environment: dict[str, str], workspace_body: dict[str, str], provider: Provider
) -> None:
    sleep = {"command": ["python3", "-c", "import time; time.sleep(30)"]}
    provider.script = [
        says("First answer."),
        calls(("list_directory", {}), ("run_command", sleep)),
        says("Third answer."),
    ]
    async with running(environment) as (process, client):
        assert (await client.post("/agent/workspace", workspace_body))[0] == 200
        await client.execute()
        await client.frames("task_finished")
        _, before = await client.get("/agent/status")
        await client.chat(1)
        listed = await client.frames("tool_finished", task_id="r1")
        await client.frames("tool_started", f"/agent/events?after={listed[-1][0]}")
        await client.chat(2, mode="queue")
        process.kill()
        await process.wait()
    async with running(environment) as (_, client):
        assert (await client.post("/agent/workspace", workspace_body))[1]["already_there"]
        events = await client.events("task_finished", f"/agent/events?after={before['last_seq']}")
        failed = events[-1]
        assert isinstance(failed, TaskFinished)
        assert (failed.task_id, failed.outcome) == ("r1", Outcome.FAILED)
        rest = await client.events("task_finished", f"/agent/events?after={failed.seq}")
    assert isinstance(rest[-1], TaskFinished)
    assert (rest[-1].task_id, rest[-1].outcome) == ("r2", Outcome.COMPLETED)
    numbers = [event.seq for event in (*events, *rest) if event.seq]
    assert numbers == list(range(before["last_seq"] + 1, numbers[-1] + 1))
    messages = provider.requests[-1]["messages"]
    assert [m["role"] for m in messages] == [
        *("system", "user", "assistant", "user", "assistant", "tool", "tool", "user"),
    ]
    assert "outcome is unknown" in messages[6]["content"]


async def test_sigterm_ends_it_in_two_seconds_and_the_task_is_told(
    environment: dict[str, str], workspace_body: dict[str, str], provider: Provider
) -> None:
    sleep = {"command": ["python3", "-c", "import time; time.sleep(30)"]}
    provider.script = [calls(("run_command", sleep))]
    async with running(environment) as (process, client):
        await client.post("/agent/workspace", workspace_body)
        await client.execute()
        await client.frames("tool_started")
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(3):
            assert await process.wait() == 0
    async with running(environment) as (_, client):
        last = (await client.events("task_finished"))[-1]
    assert isinstance(last, TaskFinished)
    assert last.outcome is Outcome.FAILED


async def test_logs_name_the_task_and_no_secret(
    environment: dict[str, str], workspace_body: dict[str, str], provider: Provider
) -> None:
    provider.script = [says("Done.")]
    async with running(environment) as (process, client):
        await client.post("/agent/workspace", workspace_body)
        await client.execute()
        await client.frames("task_finished")
        process.terminate()
        _, logs = await process.communicate()
    lines = [json.loads(line) for line in logs.splitlines()]
    assert "t1" in {line["task_id"] for line in lines}
    assert KEY.encode() not in logs
    assert TOKEN.encode() not in logs


async def test_the_process_makes_itself_unreadable(environment: dict[str, str]) -> None:
    code = (
        "import ctypes\nfrom bridge.process.prctl import hide_from_siblings\n"
        "hide_from_siblings()\n"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))  # PR_GET_DUMPABLE\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    stdout, _ = await process.communicate()
    assert stdout == b"0\n"


async def test_no_credential_reaches_the_environment_of_a_tool(
    environment: dict[str, str], workspace_body: dict[str, str], provider: Provider
) -> None:
    code = "import os\nprint('environment', dict(os.environ))\n"
    provider.script = [
        calls(("write_file", {"path": "look.py", "content": code})),
        calls(("run_command", {"command": ["python3", "look.py"]})),
        says("Done."),
    ]
    async with running(environment) as (_, client):
        await client.post("/agent/workspace", workspace_body)
        await client.execute()
        await client.frames("task_finished")
    result = provider.requests[2]["messages"][-1]["content"]
    assert "environment" in result
    assert KEY not in result
    assert TOKEN not in result


@pytest.mark.parametrize(
    ("name", "value"), [("BRIDGE_TOKEN", "short"), ("BRIDGE_TOKEN", ""), ("PORT", "many")]
)
async def test_a_wrong_setting_is_named_and_its_value_is_not_shown(
    environment: dict[str, str], name: str, value: str
) -> None:
    process = await spawn(environment | {name: value})
    _, stderr = await process.communicate()
    assert process.returncode == 2
    assert name in stderr.decode()
    assert not value or f"'{value}'" not in stderr.decode()
    assert "Traceback" not in stderr.decode()


async def test_it_tells_its_protocol(environment: dict[str, str]) -> None:
    process = await spawn({"PATH": environment["PATH"]}, "--version")
    stdout, _ = await process.communicate()
    assert process.returncode == 0
    assert b"protocol 1" in stdout
