"""Serves HTTP to agents over bounded connections: deadlines for head, body and reader of each.

aiohttp bounds none of these. Its server stands behind a protocol of ours that keeps them, and a
middleware tells that protocol when a request begins, shows a valid token, and is answered.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from bot.gateway.auth import GatewayAuth
from bot.gateway.connections import IDLE_SECONDS, ConnectionTable, Slot
from bot.log_setup import log_scope

# The agent whose own listener a request came by; None for the shared port.
AGENT: web.AppKey[str | None] = web.AppKey("agent")
_SHUTDOWN_SECONDS = 2.0
_WORD = b"THREADSMITH "
_MAX_PREAMBLE_BYTES = 256

MakeProtocol = Callable[[], asyncio.Protocol]


async def make_runner(
    routes: Sequence[web.RouteDef], agent_id: str | None, auth: GatewayAuth
) -> web.AppRunner:
    """Makes a server for these routes, which listens nowhere yet."""
    app = web.Application(middlewares=[_noting_requests(auth)])
    app[AGENT] = agent_id
    app.add_routes(routes)
    runner = web.AppRunner(
        app,
        access_log=None,  # it would write the addresses of private repositories to the log
        auto_decompress=False,
        handler_cancellation=True,
        shutdown_timeout=_SHUTDOWN_SECONDS,
        keepalive_timeout=IDLE_SECONDS,
        lingering_time=2.0,
    )
    await runner.setup()
    return runner


def protocol_maker(runner: web.AppRunner) -> MakeProtocol:
    """Returns what makes aiohttp's protocol for one more connection."""
    return cast(MakeProtocol, runner.server)  # make_runner has set it up


class HttpConnection(Slot, asyncio.Protocol):
    """Wraps aiohttp's protocol of one connection with the deadlines that it lacks."""

    def __init__(self, table: ConnectionTable, owner: str, inner: asyncio.Protocol | None) -> None:
        super().__init__(owner, 1, self.abort)
        self._table = table
        self._limits = table.limits
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._head_clock: asyncio.TimerHandle | None = None
        self._body_clock: asyncio.TimerHandle | None = None
        self._unread_clock: asyncio.TimerHandle | None = None
        self._request: web.Request | None = None
        self._moved_at = 0.0

    @property
    def inner(self) -> asyncio.Protocol:
        """Returns aiohttp's protocol."""
        if self._inner is None:
            raise TypeError("no agent serves this connection yet")
        return self._inner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks for a place among the connections, and starts the deadline of the first head."""
        stream = cast(asyncio.Transport, transport)
        if not self._table.admit(self, stream.get_extra_info("socket").fileno()):
            stream.abort()
            return
        self._transport = stream
        self._start_head_clock()
        if self._inner:
            self._inner.connection_made(stream)

    def data_received(self, data: bytes) -> None:
        """Passes on what has come."""
        if self._transport is None:
            return
        self._moved_at = asyncio.get_running_loop().time()
        if self._request is None and self._head_clock is None:
            self._start_head_clock()
        self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Passes the end on."""
        return self._inner.eof_received() if self._transport and self._inner else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Gives the place back."""
        if self._transport is None:
            return
        self._transport = None
        self._table.remove(self)
        for clock in (self._head_clock, self._body_clock, self._unread_clock):
            if clock:
                clock.cancel()
        if self._inner:
            self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Starts the deadline of a reader that takes nothing."""
        loop = asyncio.get_running_loop()
        self._unread_clock = loop.call_later(self._limits.unmoved_seconds, self.abort)
        self.inner.pause_writing()

    def resume_writing(self) -> None:
        """Ends that deadline."""
        if self._unread_clock:
            self._unread_clock.cancel()
        self.inner.resume_writing()

    def abort(self) -> None:
        """Ends the connection, whatever is under way on it."""
        self._table.remove(self)
        if self._transport:
            self._transport.abort()

    def begin_request(self, request: web.Request) -> None:
        """Notes that a request's head has come; its body has a deadline for each piece."""
        self._request, self.idle_since = request, None
        if self._head_clock:
            self._head_clock.cancel()
            self._head_clock = None
        self._watch_body()

    def end_request(self) -> None:
        """Notes that a request is answered."""
        self._request = None
        self.mark_idle()

    def mark_known(self, agent_id: str) -> bool:
        """Notes that a request has shown this agent's token; False: its agent has no room."""
        return self._table.mark_known(self, agent_id)

    def _start_head_clock(self) -> None:
        loop = asyncio.get_running_loop()
        self._head_clock = loop.call_later(self._limits.head_seconds, self.abort)

    def _watch_body(self) -> None:
        self._body_clock = None
        if self._request is None or self._request.content.is_eof():
            return
        loop = asyncio.get_running_loop()
        due = self._moved_at + self._limits.unmoved_seconds
        if due <= loop.time():
            self.abort()
        else:
            self._body_clock = loop.call_at(due, self._watch_body)


class SharedConnection(HttpConnection):
    """Reads the first line of a connection by the shared port, which may name its agent.

    `agent_of` returns the agent of a token; `protocol_for` a protocol of this agent's own server;
    `shared` one for a connection without the line. Until then it counts to its address.
    """

    def __init__(
        self,
        table: ConnectionTable,
        agent_of: Callable[[str], str | None],
        protocol_for: Callable[[str], asyncio.Protocol | None],
        shared: MakeProtocol,
    ) -> None:
        super().__init__(table, "", None)
        self._agent_of = agent_of
        self._protocol_for = protocol_for
        self._shared = shared
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Waits for the line, up to the deadline of a head."""
        peer = transport.get_extra_info("peername")  # None for one that is gone again
        self.owner = f"address {peer[0] if peer else ''}"
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Hands the connection on once the line is whole, or clearly missing."""
        if self._inner is not None:
            super().data_received(data)
            return
        self._read += data
        line, end, following = self._read.partition(b"\n")
        if not _WORD.startswith(self._read[: len(_WORD)]):
            self._hand_over(self._shared(), self._read)
        elif end and len(line) <= _MAX_PREAMBLE_BYTES:
            agent_id = self._agent_of(line.removeprefix(_WORD).decode("latin-1"))
            protocol = self._protocol_for(agent_id) if agent_id else None
            if protocol is None or agent_id is None or not self._table.move(self, agent_id):
                self.abort()
                return
            with log_scope(agent=agent_id):
                self._hand_over(protocol, following)
        elif len(self._read) > _MAX_PREAMBLE_BYTES:
            self.abort()

    def _hand_over(self, protocol: asyncio.Protocol, data: bytes) -> None:
        if self._transport is None:
            return
        self._inner = protocol
        protocol.connection_made(self._transport)
        if data:
            super().data_received(data)


def _noting_requests(auth: GatewayAuth) -> Middleware:
    @web.middleware
    async def note_request(request: web.Request, handler: Handler) -> web.StreamResponse:
        transport = request.transport
        connection = transport.get_protocol() if transport else None
        if not isinstance(connection, HttpConnection):
            return await handler(request)
        connection.begin_request(request)
        header = request.headers.get("Authorization", "")
        identified = auth.identify_agent(header, request.app[AGENT])
        try:
            if identified and not connection.mark_known(identified[0]):
                response = web.Response(status=503, text="Too many connections at once.\n")
                response.force_close()
                return response
            return await handler(request)
        finally:
            connection.end_request()

    return note_request
