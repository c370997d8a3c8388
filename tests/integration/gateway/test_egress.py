"""The egress proxy over real sockets of the loopback: what it connects, refuses and survives."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address

import pytest

from bot.domain.egress import Denial, DenialReason
from bot.gateway.connections import ConnectionLimits, ConnectionTable
from bot.gateway.egress.allow_list import AddressList, AllowList
from bot.gateway.egress.connector import Connector, UpstreamProxies
from bot.gateway.egress.proxy import EgressLimits, EgressProxy
from bot.gateway.egress.request import MAX_PROXY_HEAD_BYTES

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Handlers:
    """The connections that a server of the tests has taken; all have ended before a test does."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def around(
        self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            self._running.add(task)
            try:
                await serve(reader, writer)
            finally:
                self._running.discard(task)
                writer.close()

        return one

    async def end(self) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=10)


@dataclass
class Names:
    """A resolver whose answers a test writes; the last of a name's answers stays."""

    known: dict[str, list[list[str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.known.get(host)
        if answers is None:
            raise OSError(f"{host} is unknown")
        return answers.pop(0) if len(answers) > 1 else answers[0]


@dataclass
class Site:
    """A server on the loopback that notes what it is sent, and answers by `answer`."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            self.hosts.append(writer.get_extra_info("sockname")[0])
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            if self.answer:
                await self.answer(reader, writer)
            else:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
                await writer.drain()
        writer.close()


@dataclass
class EgressBench:
    """A proxy that knows the loopback of the tests by names."""

    names: Names
    site: Site
    limits: EgressLimits
    table: ConnectionTable = field(default_factory=ConnectionTable)
    denials: list[tuple[str, Denial]] = field(default_factory=list)
    allow: tuple[str, ...] = ("*.test",)
    private: tuple[str, ...] = ("127.0.0.2/32", "::1/128")
    proxies: dict[str, str] = field(default_factory=dict)
    port: int = 0
    dialled: list[asyncio.StreamWriter] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["EgressBench"]:
        connector = Connector(
            AllowList(self.allow),
            AddressList(self.private),
            self.names.addresses,
            UpstreamProxies(self.proxies),
            frozenset({self.site.port}),
        )
        proxy = EgressProxy(
            connector, self.table, lambda *denial: self.denials.append(denial), self.limits
        )
        handlers = Handlers()
        server = await asyncio.start_server(
            handlers.around(
                lambda reader, writer: proxy.serve_connection("k3f9ab", reader, writer)
            ),
            "127.0.0.1",
            0,
            limit=MAX_PROXY_HEAD_BYTES,
        )
        async with server:
            self.port = server.sockets[0].getsockname()[1]
            try:
                yield self
            finally:
                for writer in self.dialled:
                    writer.close()
                await handlers.end()

    async def dial(self) -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.dialled.append(writer)
        return reader, writer

    async def say(self, *lines: str, body: bytes = b"") -> bytes:
        """Send a head, read to the end."""
        reader, writer = await self.dial()
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        try:
            async with asyncio.timeout(30):
                return await reader.read()
        finally:
            writer.close()

    async def get(self, host: str, port: int | None = None) -> bytes:
        return await self.say(f"GET http://{host}:{port or self.site.port}/x HTTP/1.1")

    async def connect(self, host: str, port: int | None = None) -> Streams:
        reader, writer = await self.dial()
        writer.write(f"CONNECT {host}:{port or self.site.port} HTTP/1.1\r\n\r\n".encode())
        return reader, writer


@pytest.fixture
async def bench() -> AsyncIterator[EgressBench]:
    site, handlers = Site(), Handlers()
    server = await asyncio.start_server(site.serve, ["127.0.0.2", "127.0.0.3"], 0)
    # The same port at both addresses.
    first = server.sockets[0].getsockname()[1]
    server.close()
    serve = handlers.around(site.serve)
    server = await asyncio.start_server(serve, ["127.0.0.2", "127.0.0.3", "::1"], first)
    site.port = first
    names = Names({"a.test": [["127.0.0.2"]], "v6.test": [["::1"]], "in.test": [["127.0.0.3"]]})
    limits = EgressLimits(head_seconds=0.3, idle_seconds=0.5, total_seconds=5)
    async with server:
        yield EgressBench(names, site, limits)
        await handlers.end()


async def test_a_plain_request_reaches_a_name_on_the_list(bench: EgressBench) -> None:
    async with bench.running():
        assert (await bench.get("a.test")).endswith(b"\r\n\r\nhello")
        assert (await bench.get("V6.test.")).endswith(b"\r\n\r\nhello")
    assert bench.site.hosts == ["127.0.0.2", "::1"]
    port = bench.site.port
    assert bench.site.heads[0] == (
        f"GET /x HTTP/1.1\r\nHost: a.test:{port}\r\nConnection: close\r\n\r\n".encode()
    )
    assert not bench.denials


async def test_a_tunnel_carries_any_bytes_both_ways_and_half_ends(bench: EgressBench) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"echo:" + await reader.read())

    bench.site.answer = echo
    data = bytes(range(256)) * 20_000
    async with bench.running():
        reader, writer = await bench.connect("a.test")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        writer.write(b"x\r\n\r\n" + data)
        writer.write_eof()
        assert await reader.read() == b"echo:" + data
        writer.close()


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("evil.example", DenialReason.NOT_ON_LIST),
        ("127.0.0.3", DenialReason.NOT_ON_LIST),
        ("[::1]", DenialReason.NOT_ON_LIST),
        ("[::ffff:127.0.0.3]", DenialReason.NOT_ON_LIST),
        ("169.254.169.254", DenialReason.NOT_ON_LIST),
        ("a.test.evil.example", DenialReason.NOT_ON_LIST),
        ("in.test", DenialReason.PRIVATE_ADDRESS),
    ],
)
async def test_what_is_refused_is_told_to_both_sides(
    bench: EgressBench, host: str, reason: DenialReason
) -> None:
    async with bench.running():
        plain = await bench.get(host)
        reader, writer = await bench.connect(host)
        tunnel = await reader.read()
        writer.close()
    assert plain.startswith(b"HTTP/1.1 403 ")
    assert tunnel.startswith(b"HTTP/1.1 403 ")
    shown = ip_address(host[1:-1]).compressed if host.startswith("[") else host
    assert shown.encode() in plain.split(b"\r\n")[0]
    assert [(who, denial.host, denial.reason) for who, denial in bench.denials] == [
        ("k3f9ab", shown, reason)
    ] * 2
    assert not bench.site.heads
    if reason is DenialReason.NOT_ON_LIST:
        assert not bench.names.asked  # not even the question leaves the machine


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.3", "169.254.169.254", "10.0.0.1", "::ffff:127.0.0.3", "::ffff:169.254.169.254",
        "64:ff9b::7f00:3", "fe80::1", "fd00::1", "100.64.0.1", "0.0.0.0", "::", "224.0.0.1",
    ],
)  # fmt: skip
async def test_no_name_stands_for_a_private_address(bench: EgressBench, address: str) -> None:
    bench.allow = ("*",)
    bench.names.known["x.test"] = [[address]]
    bench.names.known[ip_address(address).compressed] = [[address]]
    literal = f"[{address}]" if ":" in address else address
    async with bench.running():
        assert (await bench.get("x.test")).startswith(b"HTTP/1.1 403 ")
        assert (await bench.get(literal)).startswith(b"HTTP/1.1 403 ")
    assert {denial.reason for _, denial in bench.denials} == {DenialReason.PRIVATE_ADDRESS}
    assert not bench.site.heads


async def test_a_name_that_changes_its_address_is_looked_up_once(bench: EgressBench) -> None:
    bench.names.known["a.test"] = [["127.0.0.2"], ["127.0.0.3"]]
    async with bench.running():
        assert (await bench.get("a.test")).endswith(b"hello")
        assert bench.names.asked == ["a.test"]
        assert (await bench.get("a.test")).startswith(b"HTTP/1.1 403 ")
    assert bench.site.hosts == ["127.0.0.2"]


async def test_of_several_addresses_only_the_open_ones_are_tried(bench: EgressBench) -> None:
    bench.names.known["a.test"] = [["127.0.0.3", "169.254.169.254", "127.0.0.2"]]
    async with bench.running():
        assert (await bench.get("a.test")).endswith(b"hello")
    assert bench.site.hosts == ["127.0.0.2"]


async def test_a_redirect_is_followed_by_the_client_and_checked_again(bench: EgressBench) -> None:
    async def elsewhere(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://in.test/\r\n\r\n")

    bench.site.answer = elsewhere
    async with bench.running():
        assert b"Location: http://in.test/" in await bench.get("a.test")
        assert len(bench.site.heads) == 1
        assert (await bench.get("in.test")).startswith(b"HTTP/1.1 403 ")


async def test_other_ports_are_closed(bench: EgressBench) -> None:
    async with bench.running():
        assert (await bench.get("a.test", 22)).startswith(b"HTTP/1.1 403 ")
    assert [denial.reason for _, denial in bench.denials] == [DenialReason.PORT]


async def test_a_second_request_behind_the_first_reaches_nobody(bench: EgressBench) -> None:
    async def whole(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bench.site.heads.append(await reader.readexactly(4))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3):
                bench.site.heads.append(await reader.read(100))

    bench.site.answer = whole
    second = b"GET http://in.test/ HTTP/1.1\r\n\r\n"
    async with bench.running():
        url = f"http://a.test:{bench.site.port}/"
        await bench.say(f"POST {url} HTTP/1.1", "Content-Length: 4", body=b"body" + second)
    assert bench.site.heads[1:] in ([b"body"], [b"body", b""])


async def test_what_is_ambiguous_is_refused_and_connects_nowhere(bench: EgressBench) -> None:
    url = f"http://a.test:{bench.site.port}/"
    async with bench.running():
        for lines in (
            (f"POST {url} HTTP/1.1", "Transfer-Encoding: chunked"),
            (f"POST {url} HTTP/1.1", "Content-Length: 4", "Content-Length: 40"),
            (f"GET {url} HTTP/1.1", "Host: a", "Host: b"),
            ("GET / HTTP/1.1", "Host: a.test"),
        ):
            answer = await bench.say(*lines)
            assert answer[:10] in (b"HTTP/1.1 4", b""), answer
    assert not bench.site.heads
    assert not bench.names.asked


async def test_a_huge_head_is_refused(bench: EgressBench) -> None:
    async with bench.running():
        answer = await bench.say("GET http://a.test/ HTTP/1.1", "X: " + "a" * 200_000)
        assert answer.startswith(b"HTTP/1.1 431 ")


async def test_slow_and_idle_clients_are_let_go(bench: EgressBench) -> None:
    async with bench.running():
        async with asyncio.timeout(3):
            reader, writer = await bench.dial()
            writer.write(b"GET http://a.te")
            assert await reader.read() == b""
            writer.close()
            held = asyncio.Event()

            async def hold(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
                await held.wait()

            bench.site.answer = hold
            reader, writer = await bench.connect("a.test")
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"x\r\n\r\n")
            assert await reader.read() == b""
            writer.close()
            held.set()


async def test_one_agent_has_so_many_connections_and_no_more(bench: EgressBench) -> None:
    bench.limits = replace(bench.limits, idle_seconds=5)
    bench.table = ConnectionTable(ConnectionLimits(per_agent=6))
    async with bench.running():
        tunnels = [await bench.connect("a.test") for _ in range(3)]
        for reader, _ in tunnels:
            await reader.readuntil(b"\r\n\r\n")
        assert (await bench.get("a.test")).startswith(b"HTTP/1.1 503 ")
        for _, writer in tunnels:
            writer.close()
        async with asyncio.timeout(5):
            while not (await bench.get("a.test")).endswith(b"hello"):
                pass


async def test_a_connection_carries_so_much_and_no_more(bench: EgressBench) -> None:
    async def flood(__: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(100):
            writer.write(bytes(65_536))
            await writer.drain()

    bench.site.answer = flood
    bench.limits = replace(bench.limits, total_bytes=1_000_000)
    async with bench.running():
        assert len(await bench.get("a.test")) <= 1_000_000


async def test_a_hundred_and_twenty_at_once(bench: EgressBench) -> None:
    body = bytes(range(256)) * 400

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + body)
        await writer.drain()

    bench.site.answer = send
    bench.limits = EgressLimits(head_seconds=60)
    bench.table = ConnectionTable(ConnectionLimits(per_agent=240))
    async with bench.running():
        answers = await asyncio.gather(*(bench.get("a.test") for _ in range(120)))
    assert all(answer.endswith(b"\r\n\r\n" + body) for answer in answers)


async def test_what_is_not_there_is_no_denial(bench: EgressBench) -> None:
    bench.names.known["shut.test"] = [["127.0.0.2"]]
    async with bench.running():
        assert (await bench.get("unknown.test")).startswith(b"HTTP/1.1 502 ")
    assert not bench.denials


async def test_the_machines_own_proxy_is_used_and_keeps_its_password(bench: EgressBench) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.write(b"inside:" + await reader.readexactly(4))

    url = f"http://user:canary@127.0.0.2:{bench.site.port}"
    bench.proxies = {"https": url, "http": url, "no": "v6.test"}
    bench.site.answer = connected
    async with bench.running():
        reader, writer = await bench.connect("far.test")  # a name that only that proxy knows
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"ping")
        assert await reader.readexactly(11) == b"inside:ping"
        writer.close()
        bench.site.answer = None
        assert (await bench.get("far.test")).endswith(b"hello")
        assert (await bench.get("v6.test")).endswith(b"hello")
        assert (await bench.get("in.test")).startswith(b"HTTP/1.1 403 ")
    port = bench.site.port
    tunnel, plain, straight = bench.site.heads
    assert tunnel.startswith(f"CONNECT far.test:{port} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic dXNlcjpjYW5hcnk=\r\n" in tunnel
    assert plain.startswith(f"GET http://far.test:{port}/x HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic dXNlcjpjYW5hcnk=\r\n" in plain
    assert straight.startswith(b"GET /x HTTP/1.1\r\n")
    assert b"Authorization" not in straight


async def test_a_refusal_of_the_machines_own_proxy_is_passed_on_in_words(
    bench: EgressBench,
) -> None:
    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 407 Who\r\n\r\n")

    bench.site.answer = refuse
    bench.proxies = {"https": f"http://127.0.0.2:{bench.site.port}"}
    async with bench.running():
        reader, writer = await bench.connect("far.test")
        answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 502 ")
    assert b"407" in answer
