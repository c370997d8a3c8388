"""Restoring a conversation while the bridge is killed: afterwards all of it is there, or none."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError

from bridge.protocol import TaskFinished
from tests.integration.bridge.conftest import Client, Provider, calls, running, says

# Runs the bridge and dies by SIGKILL around the one write that holds a restored conversation.
DYING = """
import os, signal, sys
point = sys.argv.pop()
write, sync = os.write, os.fdatasync
seen = False

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def dying_write(fd, data):
    global seen
    if not bytes(data[:12]).startswith(b'{"restored"'):
        return write(fd, data)
    seen = True
    if point == "before the write":
        die()
    if point == "half-way through it":
        write(fd, data[: len(data) // 2])
        die()
    written = write(fd, data)
    if point == "after the write":
        die()
    return written

def dying_sync(fd):
    if seen and point == "before the sync":
        die()
    sync(fd)
    if seen and point == "after the sync":
        die()

os.write, os.fdatasync = dying_write, dying_sync
from bridge.__main__ import main
sys.exit(main())
"""
POINTS = {
    "before the write": False,
    "half-way through it": False,
    "after the write": True,
    "before the sync": True,
    "after the sync": True,
}


def conversation(size: int = 400) -> bytes:
    said: list[dict[str, Any]] = [{"role": "system", "content": "rules"}]
    text = "x" * (size // 20)
    said += [{"role": "user", "content": f"{number} {text}"} for number in range(20)]
    waiting = [{"message_id": "m1", "task_id": "r1", "text": "go on", "model": "acme/model"}]
    body = {"protocol": 1, "last_seq": 700, "messages": said, "waiting": waiting}
    return json.dumps(body).encode()


async def looks(client: Client) -> tuple[int, int, int]:
    _, status = await client.get("/agent/status")
    return status["last_seq"], status["conversation_messages"], status["queue"]


async def goes_on(
    client: Client, provider: Provider, workspace_body: dict[str, str], data: bytes
) -> None:
    for _ in range(2):
        assert (await client.put("/agent/conversation", data))[0] == 200
    assert await looks(client) == (700, 21, 1)
    provider.script = [says("Going on.")]
    assert (await client.post("/agent/workspace", workspace_body))[0] == 200
    events = await client.events("task_finished", "/agent/events?after=700")
    assert isinstance(events[-1], TaskFinished)
    assert events[-1].task_id == "r1"
    stored = [event.seq for event in events if event.seq]
    assert stored == list(range(701, stored[-1] + 1))
    assert len(provider.requests[-1]["messages"]) == 22


@pytest.mark.parametrize("point", POINTS)
async def test_killed_at_a_point_it_holds_all_or_nothing_and_can_be_told_again(
    environment: dict[str, str], workspace_body: dict[str, str], provider: Provider, point: str
) -> None:
    data = conversation()
    async with running(environment, program=("-c", DYING, point)) as (process, client):
        with pytest.raises(ClientError):
            await client.put("/agent/conversation", data)
        await process.wait()
    async with running(environment) as (_, client):
        assert await looks(client) == ((700, 21, 1) if POINTS[point] else (0, 0, 0))
        await goes_on(client, provider, workspace_body, data)


async def test_killed_from_outside_at_any_moment_it_holds_all_or_nothing(
    environment: dict[str, str], workspace_body: dict[str, str], provider: Provider, tmp_path: Path
) -> None:
    data = conversation(20_000_000)
    for hundredths in (2, 10, 25, 60):
        environment["STATE_DIR"] = str(tmp_path / f"state-{hundredths}")
        async with running(environment) as (process, client):
            asyncio.get_running_loop().call_later(hundredths / 100, process.kill)
            try:
                told = (await client.put("/agent/conversation", data))[0] == 200
            except ClientError:
                told = False
            await process.wait()
        async with running(environment) as (_, client):
            found = await looks(client)
        assert found in ((700, 21, 1), (0, 0, 0))
        assert found[0] == 700 or not told
    async with running(environment) as (_, client):
        await goes_on(client, provider, workspace_body, data)


async def test_a_conversation_moves_to_a_second_bridge_by_its_own_bytes(
    environment: dict[str, str], workspace_body: dict[str, str], provider: Provider, tmp_path: Path
) -> None:
    provider.script = [calls(("write_file", {"path": "a", "content": "a\n"})), says("Done.")]
    async with running(environment) as (_, client):
        await client.post("/agent/workspace", workspace_body)
        await client.execute()
        await client.frames("task_finished")
        async with client.http.get(client.url + "/agent/conversation") as response:
            kept = await response.read()
        async with client.http.get(client.url + "/agent/patch") as response:
            patch = await response.read()
        _, ready = await client.post("/agent/workspace", workspace_body)
    other = {"WORKSPACE_DIR": str(tmp_path / "w2"), "STATE_DIR": str(tmp_path / "s2")}
    last = json.loads(kept)["last_seq"]
    async with running(environment | other) as (_, client):
        assert (await client.put("/agent/conversation", kept))[0] == 200
        assert (await client.put("/agent/patch", patch))[0] == 200
        body = workspace_body | {"base_commit": ready["base_commit"]}
        assert (await client.post("/agent/workspace", body))[1]["base_commit"] == body[
            "base_commit"
        ]
        for after in (0, last - 1, last):
            events = await client.events("files_changed", f"/agent/events?after={after}")
            assert [event.seq for event in events] == [last + 1, last + 2, last + 3]
        provider.script = [calls(("read_file", {"path": "a"})), says("Still here.")]
        await client.chat(1, model="acme/model")
        await client.frames("task_finished", f"/agent/events?after={last}")
    roles = [message["role"] for message in provider.requests[-1]["messages"]]
    assert roles == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "user",
        "assistant",
        "tool",
    ]


async def test_the_caps_of_the_large_bodies(client: Client) -> None:
    large = b" " * (20 * 2**20 + 1)
    assert (await client.put("/agent/patch", large))[0] == 413
    assert (await client.put("/agent/conversation", large))[0] == 400
    assert (await client.put("/agent/conversation", large + b" " * 12 * 2**20))[0] == 413
    assert (await client.put("/agent/conversation", conversation()))[0] == 409
    status, body = await client.put("/agent/patch", b"no patch")
    assert (status, body["error"]["code"]) == (409, "workspace_conflict")


async def test_waiting_messages_are_changed_by_their_ids(
    client: Client, provider: Provider
) -> None:
    sleep = {"command": ["python3", "-c", "import time; time.sleep(300)"]}
    provider.script = [calls(("run_command", sleep)), says("One."), says("Three.")]
    await client.execute()
    await client.frames("tool_started")
    for number in (1, 2, 3):
        await client.chat(number, mode="queue")
    body = json.dumps({"text": "better"}).encode()
    assert await client.put("/agent/messages/m1", body) == (200, {"revised": True})
    assert await client.delete("/agent/messages/m2") == (200, {"revised": True})
    assert (await client.delete("/agent/messages/m9"))[0] == 404
    assert (await client.put("/agent/messages/m1", b'{"text": ""}'))[0] == 400
    await client.post("/agent/interrupt")
    await client.frames("task_finished", task_id="r3")
    assert provider.requests[1]["messages"][-1]["content"] == "better"
    assert await client.put("/agent/messages/m1", body) == (200, {"revised": False})
    assert len(provider.requests) == 3
