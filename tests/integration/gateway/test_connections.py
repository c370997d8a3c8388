"""Each agent's share of connections and log lines, over real sockets."""

import asyncio
import contextlib
import io
import json
import logging
import os
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.config import Settings
from bot.gateway.auth import GatewayAuth, Tokens
from bot.gateway.connections import (
    ConnectionLimits,
    ConnectionTable,
    Slot,
    raise_descriptor_limit,
)
from bot.gateway.egress.allow_list import AddressList, AllowList
from bot.gateway.egress.connector import Connector, UpstreamProxies
from bot.gateway.egress.proxy import EgressProxy
from bot.gateway.listeners import AgentListeners
from bot.gateway.server import HostGateway
from bot.gateway.socket_dirs import SocketDirStore
from bot.log_setup import LINES_A_MINUTE, log_scope, make_handler
from bot.redaction import Redactor
from bridge.container import EGRESS_SOCKET_NAME, GATEWAY_SOCKET_NAME
from tests.integration.gateway.conftest import API
from tests.integration.gateway.test_listeners import OTHER, ask, short, sockets

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

HALF_A_HEAD = b"GET / HTTP/1.1\r\nX: "
FLOOD = """
import resource, socket, sys
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
kept = []
for _ in range(int(sys.argv[2])):
    client = socket.socket(socket.AF_UNIX)
    client.connect(sys.argv[1])
    try:
        client.sendall(b"GET / HTTP/1.1\\r\\nX: ")
    except OSError:
        pass
    kept.append(client)
print("flooded", flush=True)
sys.stdin.read()
"""


@contextlib.asynccontextmanager
async def sealed_gateway(
    settings: Settings,
    folder: Path,
    session: aiohttp.ClientSession,
    limits: ConnectionLimits | None = None,
) -> AsyncIterator[HostGateway]:
    gateway = HostGateway(settings, folder / "data", session, limits)
    await gateway.open("k3f9ab", API)
    await gateway.open("p7qdxy", OTHER)
    await gateway.start_sealed()
    try:
        yield gateway
    finally:
        await gateway.stop()


@contextlib.contextmanager
def few_descriptors(more: int) -> Iterator[None]:
    """Lets this process open only so many files beside those that it has."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.asynccontextmanager
async def flooding(path: Path, connections: int) -> AsyncIterator[None]:
    """Holds so many connections with half a head, from another process."""
    arguments = [sys.executable, "-c", FLOOD, str(short(path)), str(connections)]
    process = await asyncio.create_subprocess_exec(
        *arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin
    assert process.stdout
    try:
        assert await process.stdout.readline() == b"flooded\n"
        yield
    finally:
        process.stdin.close()
        await process.wait()


async def open_many(path: Path, count: int, data: bytes = HALF_A_HEAD) -> list[Streams]:
    address, opened = str(short(path)), []
    for _ in range(count):
        reader, writer = await asyncio.open_unix_connection(address)
        writer.write(data)
        opened.append((reader, writer))
    return opened


async def wait_until_closed(opened: list[Streams], count: int) -> None:
    """Waits until the other end has closed so many connections."""

    async def end_of(reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()

    reading = [asyncio.ensure_future(end_of(reader)) for reader, _ in opened]
    async with asyncio.timeout(20):
        while sum(task.done() for task in reading) < count:
            unfinished = [task for task in reading if not task.done()]
            await asyncio.wait(unfinished, return_when=asyncio.FIRST_COMPLETED)
    for task in reading:
        task.cancel()
    await asyncio.wait(reading)


def close_all(opened: list[Streams]) -> None:
    for _, writer in opened:
        writer.close()


@pytest.fixture
async def listening() -> AsyncIterator[int]:
    """A server that stands for Slack's: a connection to it takes a descriptor of the bot."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("per_agent", [32, 10_000])
async def test_half_heads_keep_neither_another_agent_nor_slack_out(
    settings: Settings,
    tmp_path: Path,
    session: aiohttp.ClientSession,
    listening: int,
    per_agent: int,
) -> None:
    with few_descriptors(160):
        limits = ConnectionLimits(per_agent=per_agent)
        async with (
            sealed_gateway(settings, tmp_path, session, limits) as gateway,
            flooding(sockets(gateway, "k3f9ab") / GATEWAY_SOCKET_NAME, 400),
        ):
            in_use = len(list(Path("/proc/self/fd").iterdir()))
            assert in_use < limits.first_reserved + 20
            assert await ask(gateway, "p7qdxy", "p7qdxy") == 404
            assert await ask(gateway, "k3f9ab", "k3f9ab") == 404
            reader, writer = await asyncio.open_connection("127.0.0.1", listening)
            assert await reader.read() == b"hello"
            writer.close()


async def test_an_agent_has_32_connections_and_the_oldest_without_a_token_goes(
    settings: Settings, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with sealed_gateway(settings, tmp_path, session) as gateway:
        path = sockets(gateway, "k3f9ab") / GATEWAY_SOCKET_NAME
        opened = await open_many(path, 100)
        await wait_until_closed(opened[:68], 68)
        assert await ask(gateway, "k3f9ab", "k3f9ab") == 404
        await wait_until_closed(opened[68:69], 1)
        assert not any(reader.at_eof() for reader, _ in opened[69:])
        close_all(opened)


async def test_tunnels_count_twice_and_leave_the_bridge_its_calls(
    settings: Settings, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with sealed_gateway(settings, tmp_path, session) as gateway:
        own = sockets(gateway, "k3f9ab")
        opened = await open_many(own / EGRESS_SOCKET_NAME, 40)
        assert await ask(gateway, "k3f9ab", "k3f9ab") == 404
        # The half heads give way to each other, once each has had its time.
        await wait_until_closed(opened[:24], 24)
        close_all(opened)


async def test_a_tunnel_too_many_waits_for_another_to_end(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    site = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = site.sockets[0].getsockname()[1]
    table = ConnectionTable(ConnectionLimits(per_agent=6))
    connector = Connector(
        AllowList(("a.test",)),
        AddressList(("127.0.0.1/32",)),
        resolve,
        UpstreamProxies({}),
        frozenset({port}),
    )
    folders = SocketDirStore(tmp_path / "sockets")
    folders.prepare_root()
    egress = EgressProxy(connector, table, lambda *_: None)
    listeners = AgentListeners([], GatewayAuth(Tokens(b"x" * 32)), table, folders, egress)
    await listeners.open_listener("k3f9ab")
    path = folders.dirs_of("k3f9ab").gateway / EGRESS_SOCKET_NAME
    head = f"CONNECT a.test:{port} HTTP/1.1\r\n\r\n".encode()
    async with site, asyncio.timeout(20):
        opened = await open_many(path, 6, head)
        for reader, writer in opened[:3]:
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
            writer.write(b"ping")
            assert await reader.readexactly(4) == b"ping"
        waiting = asyncio.ensure_future(opened[3][0].readuntil(b"\r\n\r\n"))
        assert await asyncio.wait([waiting], timeout=0.3) == (set(), {waiting})
        opened[0][1].close()
        assert b" 200 " in await waiting
        close_all(opened)
        await listeners.close_all()


async def test_a_silent_tunnel_gives_way(tmp_path: Path) -> None:
    now = ConnectionLimits(per_agent=4, silent_seconds=0.0)
    table = ConnectionTable(now)
    dropped: list[str] = []
    first = Slot("k3f9ab", 2, lambda: dropped.append("first"))
    second = Slot("k3f9ab", 2, lambda: dropped.append("second"))
    third = Slot("k3f9ab", 2, lambda: dropped.append("third"))
    for slot in (first, second):
        assert table.admit(slot, 3)
        table.mark_known(slot, "k3f9ab")
    assert not table.admit(third, 3)  # both are at work
    second.mark_idle()
    assert table.admit(third, 3)
    assert dropped == ["second"]


async def test_the_shared_port_bounds_an_address_until_it_names_its_agent(
    gateway: HostGateway,
) -> None:
    access = gateway.access("k3f9ab", API)
    host, _, port = access.model_base_url.removeprefix("http://").partition(":")
    number = int(port.partition("/")[0])
    opened = []
    for data in [b"THREADSM", HALF_A_HEAD] * 50:
        reader, writer = await asyncio.open_connection(host, number)
        writer.write(data)
        opened.append((reader, writer))
    await wait_until_closed(opened[:68], 68)
    token = access.token.get_secret_value()
    reader, writer = await asyncio.open_connection(host, number)
    writer.write(
        f"THREADSMITH {token}\nGET /model/v1/models HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode()
    )
    assert (await reader.read()).startswith(b"HTTP/1.1 404 ")
    writer.close()
    close_all(opened)


@pytest.mark.parametrize("data", [b"", HALF_A_HEAD])
async def test_a_head_has_a_deadline(
    settings: Settings, tmp_path: Path, session: aiohttp.ClientSession, data: bytes
) -> None:
    limits = ConnectionLimits(head_seconds=0.2)
    async with sealed_gateway(settings, tmp_path, session, limits) as gateway:
        path = sockets(gateway, "k3f9ab") / GATEWAY_SOCKET_NAME
        opened = await open_many(path, 1, data)
        await wait_until_closed(opened, 1)
        close_all(opened)
    assert ConnectionLimits().head_seconds == 10


async def test_the_next_head_and_a_body_have_deadlines_too(
    settings: Settings, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    limits = ConnectionLimits(head_seconds=0.2, unmoved_seconds=0.2)
    async with sealed_gateway(settings, tmp_path, session, limits) as gateway:
        path = sockets(gateway, "k3f9ab") / GATEWAY_SOCKET_NAME
        token = gateway.access("k3f9ab", API).token.get_secret_value()
        bearer = f"Host: x\r\nAuthorization: Bearer {token}\r\n"
        opened = await open_many(path, 1, f"GET /model/v1/models HTTP/1.1\r\n{bearer}\r\n".encode())
        await opened[0][0].readuntil(b"\r\n\r\n")
        opened[0][1].write(HALF_A_HEAD)
        slow = f"POST /git/acme/api/git-upload-pack HTTP/1.1\r\n{bearer}Content-Length: 9\r\n\r\nx"
        opened += await open_many(path, 1, slow.encode())
        await wait_until_closed(opened, 2)
        close_all(opened)


async def test_without_descriptors_a_listener_pauses_after_one_line(
    settings: Settings,
    tmp_path: Path,
    session: aiohttp.ClientSession,
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = ConnectionLimits(accept_again_seconds=0.05)
    async with sealed_gateway(settings, tmp_path, session, limits) as gateway:
        path = sockets(gateway, "k3f9ab") / GATEWAY_SOCKET_NAME
        clients = [socket.socket(socket.AF_UNIX) for _ in range(50)]
        address = str(short(path))
        spare = os.dup(0)
        os.close(spare)
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (spare, before[1]))
        try:
            for client in clients:
                client.connect(address)
            async with asyncio.timeout(10):
                while "no connection is accepted" not in caplog.text:
                    await asyncio.sleep(0.01)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for client in clients:
            client.close()
        assert await ask(gateway, "k3f9ab", "k3f9ab") == 404
    assert len(caplog.records) < 10
    assert "system resource" not in caplog.text


def test_the_bot_may_open_as_many_files_as_it_can() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1] // 2, before[1]))
    try:
        assert raise_descriptor_limit() == before[1]
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextlib.contextmanager
def written_log() -> Iterator[io.StringIO]:
    """What the bot's own log holds."""
    stream = io.StringIO()
    handler = make_handler(stream, Redactor([]))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield stream
    finally:
        root.removeHandler(handler)


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in lines if line["level"] in ("warning", "error")]


async def test_junk_writes_few_lines_without_its_bytes_and_names_its_agent(
    settings: Settings, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    junk = b"GET / HTTP/1.1\r\ncanary bytes\r\n\r\n"
    with written_log() as stream, log_scope(channel="C1", user="UMAL", agent="q2w4er"):
        async with sealed_gateway(settings, tmp_path, session) as gateway:
            for agent_id, count in (("k3f9ab", 200), ("p7qdxy", 1)):
                path = sockets(gateway, agent_id) / GATEWAY_SOCKET_NAME
                for _ in range(count):
                    reader, writer = await asyncio.open_unix_connection(str(short(path)))
                    writer.write(junk)
                    assert (await reader.read()).startswith(b"HTTP/1.0 400 ")
                    writer.close()
    lines = lines_of(stream)
    assert [line["agent"] for line in lines] == ["k3f9ab"] * (LINES_A_MINUTE + 1) + ["p7qdxy"]
    assert len(stream.getvalue()) < 5_000
    for word in ("canary", "traceback", "C1", "UMAL", "q2w4er"):
        assert word not in stream.getvalue()


async def test_refused_repositories_write_few_lines(
    settings: Settings, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    with written_log() as stream:
        async with sealed_gateway(settings, tmp_path, session) as gateway:
            access = gateway.access("k3f9ab", API)
            path = sockets(gateway, "k3f9ab") / GATEWAY_SOCKET_NAME
            connector = aiohttp.UnixConnector(str(short(path)))
            url = access.clone_url.replace("acme/api", "acme/else") + "/info/refs"
            headers = {"Authorization": f"Bearer {access.token.get_secret_value()}"}
            async with aiohttp.ClientSession(connector=connector, headers=headers) as client:
                for _ in range(50):
                    async with client.get(url) as answer:
                        assert answer.status == 403
    assert len(lines_of(stream)) == LINES_A_MINUTE + 1
