"""The link between the bot's client and a real bridge process, through cuts and slow readers."""

import asyncio
import socket
import time
from contextlib import aclosing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from pydantic import SecretStr

from bot.bridge_client import ClientLimits, HttpBridge
from bot.domain.container import BridgeAddress
from bridge.protocol import AgentEvent, TaskFinished, TextDelta
from tests.harness.flaky_proxy import flaky_proxy
from tests.integration.bridge.conftest import (
    DONE,
    TOKEN,
    Provider,
    Reply,
    calls,
    chunk,
    running,
    says,
    streams,
    usage,
)

QUICK = ClientLimits(first_backoff_seconds=0.01, longest_backoff_seconds=0.1, away_seconds=20.0)
_MIB = 2**20


def busy(steps: int, *, result: str = "") -> list[Reply]:
    """Steps of 64 calls each, no two steps alike; every call is two stored events."""
    name = result or "README.md"
    return [calls(*[("read_file", {"path": "./" * step + name})] * 64) for step in range(steps)]


async def read_task(bridge: HttpBridge, url: str, after: int) -> list[AgentEvent]:
    found: list[AgentEvent] = []
    async with aclosing(bridge.events(BridgeAddress(url, SecretStr(TOKEN)), after)) as events:
        async for event in events:
            found.append(event)
            if isinstance(event, TaskFinished):
                return found
    raise AssertionError


def is_gapless(events: list[AgentEvent], after: int) -> bool:
    stored = [event.seq for event in events if event.seq]
    return stored == list(range(after + 1, after + 1 + len(stored)))


async def test_no_event_is_missing_or_doubled_through_a_link_that_keeps_breaking(
    environment: dict[str, str], workspace_body: dict[str, str], provider: Provider
) -> None:
    deltas = streams(*(chunk(content=f"w{n} ") for n in range(400)), chunk("stop"), usage(), DONE)
    provider.script = [*busy(14), deltas]
    async with (
        running(environment) as (_, client),
        flaky_proxy(client.url, every_seconds=0.15) as proxy,
        aiohttp.ClientSession() as http,
    ):
        await client.post("/agent/workspace", workspace_body)
        began = time.monotonic()
        await client.execute()
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            bridge = HttpBridge(http, QUICK)
            readers = [group.create_task(read_task(bridge, proxy.url, 2)) for _ in range(3)]
        seconds = time.monotonic() - began
    told = [reader.result() for reader in readers]
    stored = [[event for event in events if event.seq] for events in told]
    assert len(stored[0]) > 1_800
    assert all(is_gapless(events, 2) for events in told)
    assert stored[0] == stored[1] == stored[2]
    assert proxy.cuts >= 3 * (seconds / 0.15) / 4
    assert all(not event.seq or not isinstance(event, TextDelta) for event in told[0])


# Taken in, told to wait, or cut before either was said.
ANSWERS = (b"HTTP/1.1 200", b"HTTP/1.1 503", b"")


async def test_streams_that_were_cut_make_room_for_new_ones(
    environment: dict[str, str], workspace_body: dict[str, str], provider: Provider
) -> None:
    async with running(environment) as (_, client), flaky_proxy(client.url) as proxy:
        await client.post("/agent/workspace", workspace_body)
        deaf = [deaf_reader(client.url) for _ in range(40)]
        for _ in range(4):
            through = [deaf_reader(proxy.url) for _ in range(24)]
            for one in through:
                assert await asyncio.to_thread(first_words, one) in ANSWERS
                one.close()
        async with aiohttp.ClientSession() as http:
            bridge = HttpBridge(http, QUICK)
            provider.script = [says("Done.")]
            await client.execute()
            assert is_gapless(await read_task(bridge, client.url, 0), 0)
        for one in deaf:
            one.close()


async def test_requests_through_a_breaking_link_have_one_effect_when_they_are_sent_again(
    environment: dict[str, str], workspace_body: dict[str, str], provider: Provider
) -> None:
    """Cut at every stage of a request: the same ids again never run anything twice."""
    provider.script = [says("Done."), *(says(f"Answer {n}.") for n in range(8))]
    async with (
        running(environment) as (_, client),
        flaky_proxy(client.url, every_seconds=0.02) as proxy,
        aiohttp.ClientSession() as http,
    ):
        await client.post("/agent/workspace", workspace_body)
        await client.execute()
        await client.frames("task_finished")
        for number in range(8):
            body = {"message_id": f"m{number}", "task_id": f"r{number}", "text": "x"}
            answered = 0
            while answered < 2:
                headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "application/json"}
                with suppress(aiohttp.ClientError):
                    where = f"{proxy.url}/agent/chat"
                    async with http.post(where, json=body, headers=headers) as response:
                        assert response.status == 202
                        await response.read()
                        answered += 1
            await client.frames("task_finished", task_id=f"r{number}")
    assert len(provider.requests) == 9


def memory_bytes(pid: int) -> int:
    """The most that the process has ever held."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1_024
    raise AssertionError


def deaf_reader(url: str) -> socket.socket:
    where = urlsplit(url)
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    deaf.connect((where.hostname, where.port))
    head = f"GET /agent/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    deaf.sendall(head.encode())
    return deaf


def first_words(reader: socket.socket) -> bytes:
    try:
        return reader.recv(12)
    except ConnectionResetError:
        return b""


async def test_readers_that_never_read_cost_no_memory_and_hold_nothing_up(
    environment: dict[str, str], workspace_body: dict[str, str], provider: Provider, tmp_path: Path
) -> None:
    peaks = []
    for readers in (0, 40):
        environment["WORKSPACE_DIR"] = str(tmp_path / f"w{readers}")
        environment["STATE_DIR"] = str(tmp_path / f"s{readers}")
        text = {"path": "large.txt", "content": "0123456789abcdef\n" * 1_000}
        flood = [chunk(content="y" * 8_000) for _ in range(90)]
        last = streams(*flood, chunk("stop"), usage(), DONE)
        provider.script = [calls(("write_file", text)), *busy(4, result="large.txt"), last]
        async with running(environment) as (process, client):
            await client.post("/agent/workspace", workspace_body)
            deaf = [deaf_reader(client.url) for _ in range(readers)]
            await client.execute()
            found = await client.events("task_finished")
            peaks.append(memory_bytes(process.pid))
            for one in deaf:
                one.close()
        assert isinstance(found[-1], TaskFinished)
        assert found[-1].error is None
    log = (tmp_path / "s40" / "events.jsonl").stat().st_size
    assert log > 2 * _MIB
    assert peaks[1] - peaks[0] < 16 * _MIB, [peak // _MIB for peak in peaks]


async def test_a_bot_that_stops_reading_for_a_while_gets_everything_afterwards(
    environment: dict[str, str], workspace_body: dict[str, str], provider: Provider
) -> None:
    provider.script = [*busy(8), says("Done.")]
    async with (
        running(environment) as (_, client),
        flaky_proxy(client.url) as proxy,
        aiohttp.ClientSession() as http,
    ):
        await client.post("/agent/workspace", workspace_body)
        bridge = HttpBridge(http, QUICK)
        address = BridgeAddress(proxy.url, SecretStr(TOKEN))
        found: list[AgentEvent] = []
        async with aclosing(bridge.events(address, 0)) as events:
            found.append(await anext(events))
            await client.execute()
            await client.frames("task_finished")
            proxy.cut()
            async for event in events:
                found.append(event)
                if isinstance(event, TaskFinished):
                    break
    assert is_gapless(found, 0)
    assert len([event for event in found if event.seq]) > 1_000


async def test_a_bridge_killed_in_the_middle_is_read_on_where_it_ended(
    environment: dict[str, str], workspace_body: dict[str, str], provider: Provider
) -> None:
    provider.script = busy(3)
    found: list[AgentEvent] = []
    async with aiohttp.ClientSession() as http:
        bridge = HttpBridge(http, QUICK)
        async with running(environment) as (process, client):
            await client.post("/agent/workspace", workspace_body)
            await client.execute()
            address = BridgeAddress(client.url, SecretStr(TOKEN))
            async with aclosing(bridge.events(address, 0)) as events:
                async for event in events:
                    found.append(event)
                    if event.seq == 150:
                        break
            process.kill()
            await process.wait()
        async with running(environment) as (_, client):
            found += await read_task(bridge, client.url, 150)
    assert is_gapless(found, 0)
    assert isinstance(found[-1], TaskFinished)
    assert found[-1].error is not None
