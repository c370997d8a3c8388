"""Connections that ask for nothing are bounded and end, and the bot gets in among them."""

import asyncio
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, UnixConnector, web

from bridge.http.connections import MAX_CONNECTIONS, ConnectionGuard
from bridge.http.sockets import listening_socket
from tests.integration.bridge.conftest import TOKEN, running, spawn

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Connection]]
HALF_A_HEAD = b"GET /health HTTP/1.1\r\nHost: x\r\nX-Half: "
HALF_A_BODY = (
    b"POST /agent/execute HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
    b"Authorization: Bearer " + TOKEN.encode() + b'\r\n\r\n{"task_id": '
)


async def get_health(connect: Connect) -> bytes:
    reader, writer = await connect()
    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    async with asyncio.timeout(2):
        answer = await reader.read()
    writer.close()
    return answer


async def opened(connect: Connect, count: int, start: bytes) -> list[Connection]:
    found = []
    for _ in range(count):
        connection = await connect()
        connection[1].write(start)
        found.append(connection)
    return found


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Whether the other end closed it; what came before the end does not matter."""
    try:
        async with asyncio.timeout(0.01):
            await reader.read()
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


async def close(connections: list[Connection]) -> None:
    for _, writer in connections:
        writer.transport.abort()
    await asyncio.sleep(0)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_a_crowd_that_asks_for_nothing_keeps_nobody_out(
    environment: dict[str, str], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "bridge.sock"
    async with bridge(environment, path if kind == "unix" else None) as connect:
        crowd = await opened(connect, 500, HALF_A_HEAD)
        crowd += await opened(connect, 100, HALF_A_BODY)
        for _ in range(20):
            assert (await get_health(connect)).startswith(b"HTTP/1.1 200")
        states = await asyncio.gather(*(is_closed(reader) for reader, _ in crowd))
        assert states.count(False) <= MAX_CONNECTIONS
        await close(crowd)


@asynccontextmanager
async def bridge(environment: dict[str, str], path: Path | None) -> AsyncIterator[Connect]:
    """A bridge as a process of its own, on a path or on a port; how to connect to it."""
    if path is None:
        async with running(environment) as (_, client):
            host, _, port = client.url.removeprefix("http://").partition(":")

            async def by_port() -> Connection:
                return await asyncio.open_connection(host, int(port))

            yield by_port
        return
    process = await spawn(
        environment | {"BRIDGE_SOCKET": str(path), "SOCKET_GID": str(os.getgid())}
    )
    assert process.stderr is not None
    try:
        assert f"listening on unix:{path}" in (await process.stderr.readline()).decode()

        async def by_path() -> Connection:
            # Blocking, because asyncio takes a full backlog for a connection.
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(path))
            return await asyncio.open_unix_connection(sock=client)

        yield by_path
        process.terminate()
        async with asyncio.timeout(4):
            assert await process.wait() == 0
        assert not path.exists()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


class Counter:
    """An application that keeps a request open until it is told to go on."""

    def __init__(self, connections: ConnectionGuard) -> None:
        self.go_on = asyncio.Event()
        self.entered = asyncio.Semaphore(0)
        self._connections = connections
        self.app = web.Application()
        self.app.add_routes([web.get("/held", self.held), web.get("/quick", self.quick)])

    async def held(self, request: web.Request) -> web.Response:
        self._connections.begin_request(request)
        self._connections.mark_known(request)
        self.entered.release()
        await self.go_on.wait()
        self._connections.end_request(request)
        return web.Response(text="held")

    async def quick(self, request: web.Request) -> web.Response:
        self._connections.begin_request(request)
        self._connections.end_request(request)
        return web.Response(text="quick")


@asynccontextmanager
async def counting(path: Path, **bounds: Any) -> AsyncIterator[tuple[Counter, Connect]]:
    connections = ConnectionGuard(**bounds)
    counter = Counter(connections)
    with listening_socket(path, None, "", 0) as (listener, _):
        async with connections.serving(counter.app, listener, shutdown_seconds=0.1):
            yield counter, lambda: asyncio.open_unix_connection(path)
            counter.go_on.set()


async def test_a_head_that_does_not_end_is_cut_off_and_a_whole_one_is_not(tmp_path: Path) -> None:
    async with counting(tmp_path / "s", header_seconds=0.2) as (counter, connect):
        held = await opened(connect, 1, b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        await counter.entered.acquire()
        slow = await opened(connect, 2, b"GET /quick HT")
        silent = await opened(connect, 2, b"")
        again = await opened(connect, 2, b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\nGET /qui")
        async with asyncio.timeout(2):
            for reader, writer in (*slow, *silent):
                writer.write(b"T")  # a little, but never enough
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await reader.readexactly(1)
            for reader, writer in again:
                assert b"quick" in await reader.readuntil(b"quick")
                writer.write(b"c")
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    await reader.readexactly(1)
        counter.go_on.set()
        assert b"held" in await held[0][0].readuntil(b"held")
        await close([*held, *slow, *silent, *again])


async def test_nobody_who_was_let_in_is_sent_away(tmp_path: Path) -> None:
    async with counting(tmp_path / "s", max_connections=4) as (counter, connect):
        held = await opened(connect, 4, b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        for _ in held:
            await counter.entered.acquire()
        beyond = await opened(connect, 2, b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
        for reader, _ in beyond:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        counter.go_on.set()
        for reader, _ in held:
            assert b"held" in await reader.readuntil(b"held")
        # They rest now, so one gives way to the first stranger, and strangers to each other.
        strangers = await opened(connect, 3, b"GET")
        await get_quick(connect)
        states = await asyncio.gather(*(is_closed(reader) for reader, _ in (*held, *strangers)))
        assert states == [True, False, False, False, True, True, True]
        await close([*held, *beyond, *strangers])


async def get_quick(connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"quick" in await reader.readuntil(b"quick")
    writer.close()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_socket_is_for_its_group_alone_and_replaces_an_old_one(
    tmp_path: Path, umask: int
) -> None:
    path = tmp_path / "bridge.sock"
    before = os.umask(umask)
    try:
        for _ in range(2):
            with listening_socket(path, os.getgid(), "", 0) as (_, name):
                found = path.lstat()
                assert stat.S_ISSOCK(found.st_mode)
                assert stat.S_IMODE(found.st_mode) == 0o660
                assert found.st_gid == os.getgid()
                assert name == f"unix:{path}"
                path.rename(tmp_path / "kept")
            (tmp_path / "kept").rename(path)  # as a killed one leaves it behind
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert [entry.name for entry in tmp_path.iterdir()] == ["bridge.sock"]


def test_what_is_no_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "bridge.sock"
    path.symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(FileExistsError, match="is no socket"),
        listening_socket(path, None, "", 0),
    ):
        pass
    assert path.is_symlink()


async def test_the_bridge_serves_all_of_its_routes_on_a_path(
    environment: dict[str, str], tmp_path: Path, workspace_body: dict[str, str]
) -> None:
    path = tmp_path / "bridge.sock"
    async with (
        bridge(environment, path),
        ClientSession("http://bridge", connector=UnixConnector(str(path))) as http,
    ):
        async with http.get("/agent/status") as response:
            assert response.status == 401
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with http.post("/agent/workspace", json=workspace_body, headers=headers) as response:
            assert response.status == 200
        async with http.get("/agent/events", headers=headers) as response:
            assert await response.content.readline() == b"id: 1\n"
        async with http.ws_connect("/agent/ws", headers=headers) as ws:
            assert "workspace_cloning" in await ws.receive_str(timeout=5)


STRANGER = """
import os, socket, sys
os.setgroups([])
os.setresgid(10002, 10002, 10002)
os.setresuid(10002, 10002, 10002)
host, port, token = sys.argv[1:]
with socket.socket() as bridge:
    try:
        bridge.connect((host, int(port)))
        bridge.sendall(
            f"GET /agent/status HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n"
            f"Authorization: Bearer {token}\\r\\n\\r\\n".encode()
        )
        print(bridge.recv(1_000), end="")
    except ConnectionError:
        print(b"", end="")
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("said", [TOKEN, "a-wrong-token"])
async def test_on_tcp_the_user_of_the_tools_gets_no_answer_at_all(
    environment: dict[str, str], said: str
) -> None:
    async with running(environment) as (bridge_process, client):
        host, _, port = client.url.removeprefix("http://").partition(":")
        for _ in range(5):
            stranger = await asyncio.create_subprocess_exec(
                sys.executable, "-c", STRANGER, host, port, said, stdout=asyncio.subprocess.PIPE
            )
            assert (await stranger.communicate())[0] == b"b''"
        assert (await client.get("/agent/status"))[0] == 200
        bridge_process.terminate()
        _, logs = await bridge_process.communicate()
        assert logs.count(b"user 10002") == 1  # said once, so that nobody fills the log
