"""Bounds the bridge's connections, and how long one may stay without showing the token.

aiohttp bounds neither. The guard stands between the listening socket and aiohttp's protocol, and
the routes tell it when a request is whole and shows the token. At the limit it drops the oldest
connection that has not shown the token, so that other clients cannot keep the bot out.
"""

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from bridge.process.peer_uid import uid_of

MAX_CONNECTIONS = 64
HEADER_SECONDS = 10.0
_UNREAD_SECONDS = 120.0

# What aiohttp does bound. Idle connections live longer than the
# client keeps them, which is 15 s: the other way round a request meets a closing connection.
_HTTP_BOUNDS: dict[str, Any] = {
    "keepalive_timeout": 75.0,
    "lingering_time": 2.0,
    "max_line_size": 8_190,
    "max_field_size": 8_190,
    "max_headers": 64,
    "auto_decompress": False,
}

_log = logging.getLogger(__name__)
_http_log = logging.getLogger("bridge.http")


def _is_ours(record: logging.LogRecord) -> bool:
    """Keeps bad requests out of the log, since any client could fill it with them."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


_http_log.addFilter(_is_ours)


class ConnectionGuard:
    """Limits the connections of one server."""

    def __init__(
        self, *, max_connections: int = MAX_CONNECTIONS, header_seconds: float = HEADER_SECONDS
    ) -> None:
        self.header_seconds = header_seconds
        self._max_connections = max_connections
        self._clients: dict[asyncio.BaseTransport, _Client] = {}
        # Who may be sent away, the one that has been so for longest first.
        self._unknown: dict[_Client, None] = {}
        self._idle: dict[_Client, None] = {}
        self._refused: set[int | None] = set()

    @asynccontextmanager
    async def serving(
        self, app: web.Application, listener: socket.socket, shutdown_seconds: float = 1.0
    ) -> AsyncIterator[None]:
        """Serves a listening socket while inside; then finishes what is under way."""
        runner = web.AppRunner(
            app,
            access_log=None,
            logger=_http_log,
            shutdown_timeout=shutdown_seconds,
            **_HTTP_BOUNDS,
        )
        await runner.setup()
        try:
            make = cast(Callable[[], asyncio.Protocol], runner.server)  # it is set up
            server = await asyncio.get_running_loop().create_server(
                lambda: _Client(self, make()), sock=listener
            )
            try:
                yield
            finally:
                server.close()
        finally:
            await runner.cleanup()

    def begin_request(self, request: web.Request) -> None:
        """Notes that a request's head has come."""
        if client := self._client_of(request):
            client.stop_clock()

    def mark_known(self, request: web.Request) -> None:
        """Notes that a whole request shows the token: its connection stays."""
        if client := self._client_of(request):
            client.is_known = True
            self._unknown.pop(client, None)
            self._idle.pop(client, None)

    def end_request(self, request: web.Request) -> None:
        """Notes that a request is answered, and its connection waits for the next one."""
        if client := self._client_of(request):
            client.is_idle = True
            self._queue_idle(client)

    def admit(self, client: "_Client", transport: asyncio.Transport) -> bool:
        """Registers a connection, dropping another one at the limit; False: it is refused."""
        if not self._is_welcome(transport):
            return False
        if len(self._clients) >= self._max_connections:
            queue = self._unknown or self._idle
            if not queue:
                return False
            next(iter(queue)).drop()
        self._clients[transport] = client
        self._queue_idle(client)
        return True

    def remove(self, client: "_Client", transport: asyncio.BaseTransport) -> None:
        """Removes a connection that has ended."""
        self._clients.pop(transport, None)
        self._unknown.pop(client, None)
        self._idle.pop(client, None)

    def _is_welcome(self, transport: asyncio.Transport) -> bool:
        """Refuses every peer inside the container that is not of this process's user."""
        peer, here = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if not isinstance(peer, tuple):
            return True  # a unix socket, whose mode decided that
        uid = uid_of(peer[:2], here[:2])
        if uid in (None, 0, os.getuid()):
            return True
        if uid not in self._refused:
            self._refused.add(uid)
            _log.warning("connections of user %s are refused", uid)
        return False

    def _queue_idle(self, client: "_Client") -> None:
        queue = self._idle if client.is_known else self._unknown
        queue.pop(client, None)
        queue[client] = None

    def _client_of(self, request: web.Request) -> "_Client | None":
        return None if request.transport is None else self._clients.get(request.transport)


class _Client(asyncio.Protocol):
    """Wraps aiohttp's protocol of one connection with the timeouts that it lacks."""

    def __init__(self, guard: ConnectionGuard, inner: asyncio.Protocol) -> None:
        self.is_known = False
        self.is_idle = True
        self._guard = guard
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._clock: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        stream = cast(asyncio.Transport, transport)
        if not self._guard.admit(self, stream):
            stream.abort()
            return
        self._transport = stream
        self._start_clock()
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        if self.is_idle and self._clock is None:
            self._start_clock()
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._transport is None else self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            return
        self._guard.remove(self, self._transport)
        for clock in (self._clock, self._unread):
            if clock is not None:
                clock.cancel()
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._unread = asyncio.get_running_loop().call_later(_UNREAD_SECONDS, self.drop)
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
        self._inner.resume_writing()

    def stop_clock(self) -> None:
        """Stops the timeout, since a request has begun."""
        self.is_idle = False
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def drop(self) -> None:
        """Drops the connection, whatever is under way on it."""
        if self._transport is not None:
            self._guard.remove(self, self._transport)
            self._transport.abort()

    def _start_clock(self) -> None:
        loop = asyncio.get_running_loop()
        self._clock = loop.call_later(self._guard.header_seconds, self.drop)
