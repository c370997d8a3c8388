"""The forwarder as a process of its own, between real clients and real gateways."""

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from bridge.process.peer_uid import uid_of

ROOT = Path(__file__).parents[3]
TOKEN = "canary-gateway-token"
PROGRAM = """
import ctypes, sys
import bridge.forwarder.__main__ as forwarder
forwarder.GATEWAY_PORT = forwarder.EGRESS_PORT = 0
forwarder.MAX_FORWARDED = 8
listen = forwarder.Forwarder.listen
def tell(self, port, gateway):
    print(listen(self, port, gateway), flush=True)
forwarder.Forwarder.listen = tell
{before}
sys.exit(forwarder.main())
"""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def forwarding(
    *, before: str = "", **environment: str | Path
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A forwarder, and the port of the gateway in it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM.format(before=before),
        cwd=ROOT,
        env={name: str(value) for name, value in environment.items()},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process, int(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@asynccontextmanager
async def raw_gateway(path: Path, serve: Serve) -> AsyncIterator[None]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_unix_server(answer, path)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


@asynccontextmanager
async def http_gateway(path: Path, *routes: web.RouteDef) -> AsyncIterator[None]:
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(path)).start()
    try:
        yield
    finally:
        await runner.cleanup()
        path.unlink(missing_ok=True)


async def test_bytes_pass_at_once_while_the_answer_is_still_going_on(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first\n")
        await go_on.wait()
        await response.write(b"second\n")
        return response

    path = tmp_path / "gateway.sock"
    async with (
        http_gateway(path, web.get("/", slow)),
        forwarding(GATEWAY_SOCKET=path) as (_, port),
        ClientSession() as http,
        http.get(f"http://127.0.0.1:{port}/") as response,
    ):
        assert await response.content.readline() == b"first\n"
        go_on.set()
        assert await response.content.readline() == b"second\n"


async def test_a_gateway_that_is_away_is_said_and_found_again_when_it_is_back(
    tmp_path: Path,
) -> None:
    async def hello(_request: web.Request) -> web.StreamResponse:
        return web.Response(text="hello")

    path = tmp_path / "gateway.sock"
    async with forwarding(GATEWAY_SOCKET=path) as (_, port):
        for _ in range(2):
            async with (
                ClientSession() as http,
                http.post(f"http://127.0.0.1:{port}/", data=b"x" * 300_000) as response,
            ):
                assert response.status == 502
                assert await response.text() == (
                    "The gateway does not answer; the bot may be restarting.\n"
                )
            async with (
                http_gateway(path, web.get("/", hello)),
                ClientSession() as http,
                http.get(f"http://127.0.0.1:{port}/") as response,
            ):
                assert await response.text() == "hello"


async def test_each_direction_ends_by_itself(tmp_path: Path) -> None:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = await reader.read()
        writer.write(b"%d bytes" % len(data))
        await writer.drain()

    path = tmp_path / "gateway.sock"
    async with raw_gateway(path, count), forwarding(GATEWAY_SOCKET=path) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * 1000)
        writer.write_eof()
        assert await reader.read() == b"1000 bytes"
        writer.close()


async def test_much_passes_whole_both_ways_at_once(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(50_000):
            writer.write(data)
            await writer.drain()

    async def talk(port: int, data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def send() -> None:
            writer.write(data)
            await writer.drain()
            writer.write_eof()

        _, answer = await asyncio.gather(send(), reader.read())
        writer.close()
        return answer

    path = tmp_path / "gateway.sock"
    sent = [random.Random(seed).randbytes(3_000_000) for seed in range(4)]
    async with raw_gateway(path, echo), forwarding(GATEWAY_SOCKET=path) as (_, port):
        assert await asyncio.gather(*(talk(port, data) for data in sent)) == sent


async def test_a_gateway_that_reads_nothing_holds_the_client_up_and_no_memory(
    tmp_path: Path,
) -> None:
    go_on, took = asyncio.Event(), bytearray()

    async def later(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        while data := await reader.read(65_536):
            took.extend(data)

    path = tmp_path / "gateway.sock"
    async with raw_gateway(path, later), forwarding(GATEWAY_SOCKET=path) as (process, port):
        before = resident_bytes(process.pid)
        client = socket.create_connection(("127.0.0.1", port))
        client.settimeout(1)
        sent = 0
        with suppress(TimeoutError):
            while sent < 2**27:
                sent += await asyncio.to_thread(client.send, b"x" * 65_536)
        assert sent < 2**25
        assert resident_bytes(process.pid) - before < 2**20
        go_on.set()
        client.settimeout(5)
        await asyncio.to_thread(client.shutdown, socket.SHUT_WR)
        assert await asyncio.to_thread(client.recv, 1) == b""
        assert len(took) == sent
        client.close()


async def test_an_early_answer_reaches_a_client_that_is_still_sending(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"enough")
        await writer.drain()

    path = tmp_path / "gateway.sock"
    async with raw_gateway(path, refuse), forwarding(GATEWAY_SOCKET=path) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"x" * 5_000_000)
        await writer.drain()
        async with asyncio.timeout(5):
            assert await reader.read() == b"enough"
        writer.close()


async def test_a_gateway_that_dies_in_the_middle_ends_the_connection(tmp_path: Path) -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly")
        await writer.drain()

    path = tmp_path / "gateway.sock"
    async with raw_gateway(path, die), forwarding(GATEWAY_SOCKET=path) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(5):
            assert (await reader.read()).endswith(b"only")
        writer.close()


async def test_an_open_network_gets_one_line_before_the_bytes(tmp_path: Path) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.put_nowait(await reader.readline())
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with forwarding(GATEWAY_ADDRESS=address, OPENROUTER_API_KEY=TOKEN) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(heard.get(), 5) == f"THREADSMITH {TOKEN}\n".encode()
        writer.write(b"raw bytes\n")
        assert await reader.read() == b"raw bytes\n"
        writer.close()
        server.close()
        async with ClientSession() as http, http.get(f"http://127.0.0.1:{port}/") as response:
            assert response.status == 502


async def test_the_egress_proxy_has_a_port_of_its_own(tmp_path: Path) -> None:
    def says(word: bytes) -> Serve:
        async def say(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(word)

        return say

    gateway, egress = tmp_path / "gateway.sock", tmp_path / "egress.sock"
    async with (
        raw_gateway(gateway, says(b"gateway")),
        raw_gateway(egress, says(b"egress")),
        forwarding(GATEWAY_SOCKET=gateway, EGRESS_SOCKET=egress) as (process, port),
    ):
        assert process.stdout is not None
        for number, word in ((port, b"gateway"), (int(await process.stdout.readline()), b"egress")):
            reader, writer = await asyncio.open_connection("127.0.0.1", number)
            assert await reader.read() == word
            writer.close()


async def test_beyond_the_cap_a_connection_is_closed_until_one_is_free(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)

    async def opened(port: int) -> tuple[asyncio.StreamWriter, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"here\n")
        try:
            return writer, await reader.readline()
        except ConnectionError:
            return writer, b""

    path = tmp_path / "gateway.sock"
    async with raw_gateway(path, echo), forwarding(GATEWAY_SOCKET=path) as (_, port):
        held = [await opened(port) for _ in range(8)]
        assert {answer for _, answer in held} == {b"here\n"}
        refused, answer = await opened(port)
        assert answer == b""
        held[0][0].close()
        await held[0][0].wait_closed()
        async with asyncio.timeout(5):
            while not answer:  # the end travels through two sockets first
                refused.close()
                refused, answer = await opened(port)
        for writer in (refused, *(writer for writer, _ in held)):
            writer.close()


async def test_it_ends_with_its_parent(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])",
        PROGRAM.format(before=""),
        cwd=ROOT,
        env={"GATEWAY_SOCKET": str(tmp_path / "gateway.sock")},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert parent.stdout is not None
    await parent.stdout.readline()
    parent.send_signal(signal.SIGKILL)
    async with asyncio.timeout(5):
        assert await parent.stdout.read() == b""  # the child held this pipe too
    await parent.wait()


async def test_it_is_small_and_unreadable(tmp_path: Path) -> None:
    look = """
def run(self):
    heavy = {"asyncio", "ssl", "pydantic", "typing", "logging", "inspect"} & set(sys.modules)
    print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), sorted(heavy), flush=True)
forwarder.Forwarder.run = run
"""
    async with forwarding(before=look, GATEWAY_SOCKET=tmp_path / "gateway.sock") as (process, _):
        assert process.stdout is not None
        assert await process.stdout.readline() == b"0 []\n"


@pytest.mark.parametrize("environment", [{}, {"GATEWAY_ADDRESS": "127.0.0.1:1"}])
async def test_without_a_gateway_it_does_not_start(environment: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bridge.forwarder",
        cwd=ROOT, env=environment, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, stderr = await process.communicate()
    assert process.returncode == 2
    assert b"GATEWAY_SOCKET" in stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_the_owner_of_a_connection_is_found(host: str) -> None:
    listening_at = host if host == "::1" else "127.0.0.1"
    family = socket.AF_INET6 if host == "::1" else socket.AF_INET
    with socket.create_server((listening_at, 0), family=family) as server:
        port = server.getsockname()[1]
        caller = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        caller.connect((host, port))
        accepted, peer = server.accept()
        with caller, accepted:
            assert uid_of(peer[:2], accepted.getsockname()[:2]) == os.getuid()
            assert uid_of(("127.0.0.2", peer[1]), accepted.getsockname()[:2]) is None


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
