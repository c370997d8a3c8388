"""Serves the egress proxy of sealed containers: allowed destinations, a plain refusal else.

It speaks CONNECT and plain HTTP, one request for each connection. A redirect is the client's
business: where it leads is asked for by a new request, and checked like the first.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from bot.domain.egress import Denial, DenialReason
from bot.gateway.connections import TUNNEL_ENDS, ConnectionTable, Slot
from bot.gateway.egress.connector import (
    Connector,
    DeniedError,
    DestinationUnreachableError,
    EgressConnection,
)
from bot.gateway.egress.request import (
    MAX_PROXY_HEAD_BYTES,
    MalformedError,
    ProxyRequest,
    read_request,
)

_CHUNK_BYTES = 65_536
_CLOSE_SECONDS = 2.0
_log = logging.getLogger(__name__)

_WHY = {
    DenialReason.NOT_ON_LIST: (
        "is not on the allow-list. Do without it, or ask for an admin to add it to EGRESS_ALLOW"
    ),
    DenialReason.PRIVATE_ADDRESS: "leads to a private address, which is closed from here",
    DenialReason.PORT: "is asked for at a port that is closed; 80 and 443 are open",
}


@dataclass(frozen=True, slots=True)
class EgressLimits:
    """Bounds a connection in time and bytes."""

    head_seconds: float = 10.0
    idle_seconds: float = 120.0
    total_seconds: float = 3_600.0
    total_bytes: int = 8 * 1024**3


class EgressProxy:
    """Serves the connections of all agents; calls `denied` for each refused destination."""

    def __init__(
        self,
        connector: Connector,
        table: ConnectionTable,
        denied: Callable[[str, Denial], None],
        limits: EgressLimits | None = None,
    ) -> None:
        self._connector = connector
        self._table = table
        self._denied = denied
        self._limits = limits or EgressLimits()

    async def serve_connection(
        self, agent_id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serves one connection of this agent to its end; the stream's limit bounds the head."""
        client = _EgressClient(reader, writer)
        task = asyncio.current_task()
        slot = Slot(agent_id, TUNNEL_ENDS, task.cancel if task else writer.transport.abort)
        if not self._table.admit(slot, writer.get_extra_info("socket").fileno()):
            await client.refuse(503, "Too many connections at once.")
            return
        try:
            await self._serve(slot, client)
        except (OSError, asyncio.IncompleteReadError):
            pass  # one end went away
        finally:
            self._table.remove(slot)
            writer.transport.abort()

    async def _serve(self, slot: Slot, client: "_EgressClient") -> None:
        try:
            request = await client.read_head(self._limits.head_seconds)
        except MalformedError as error:
            await client.refuse(error.status, str(error))
            return
        self._table.mark_known(slot, slot.owner)
        try:
            connection = await self._connector.connect(request)
        except DestinationUnreachableError as error:
            await client.refuse(502, str(error))
        except DeniedError as error:
            denial = Denial(request.host, request.port, error.reason, time.time())
            self._denied(slot.owner, denial)
            await client.refuse(403, f"{request.host} {_WHY[error.reason]}.")
        else:
            try:
                await self._pass_on(slot, client, request, connection)
            finally:
                connection.writer.transport.abort()

    async def _pass_on(
        self,
        slot: Slot,
        client: "_EgressClient",
        request: ProxyRequest,
        connection: EgressConnection,
    ) -> None:
        if request.tunnel:
            client.writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            upwards = None
        else:
            extra = connection.proxy.authorization if connection.proxy else b""
            head = request.head(absolute=connection.proxy is not None, extra=extra)
            connection.writer.write(head)
            upwards = request.body_bytes
        slot.mark_idle()
        loop = asyncio.get_running_loop()
        end = loop.time() + self._limits.total_seconds
        try:
            async with asyncio.timeout(self._limits.idle_seconds) as deadline:

                def moved() -> None:
                    slot.mark_idle()  # nothing is under way until the next bytes
                    deadline.reschedule(min(loop.time() + self._limits.idle_seconds, end))

                tunnel = _Tunnel(moved, self._limits.total_bytes)
                async with asyncio.TaskGroup() as group:
                    up = group.create_task(
                        tunnel.pass_bytes(client.reader, connection.writer, upwards)
                    )
                    await tunnel.pass_bytes(connection.reader, client.writer, None)
                    if not request.tunnel:
                        up.cancel()  # the answer is whole; nobody reads the rest of the request
        except* OSError as group:
            # One end went away, or nothing moved for too long.
            _log.debug("an egress connection was cut: %r", group.exceptions)
        await client.wait_closed()


class _Tunnel:
    """Passes bytes on, both ways, up to a total."""

    def __init__(self, moved: Callable[[], None], total_bytes: int) -> None:
        self._moved = moved
        self._left = total_bytes

    async def pass_bytes(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, length: int | None
    ) -> None:
        """Passes bytes on until the source ends, or `length` of them; raises OSError."""
        left = length
        while left is None or left > 0:
            chunk = await source.read(_CHUNK_BYTES if left is None else min(_CHUNK_BYTES, left))
            if not chunk:
                break
            self._left -= len(chunk)
            if self._left < 0:
                raise ConnectionError("the connection has carried enough")
            left = None if left is None else left - len(chunk)
            target.write(chunk)
            await target.drain()
            self._moved()
        if length is None and target.can_write_eof():
            target.write_eof()


class _EgressClient:
    """The container's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        # What has been drained is out of this process: the connection may be cut.
        writer.transport.set_write_buffer_limits(0)

    async def read_head(self, seconds: float) -> ProxyRequest:
        """Reads the head; raises MalformedError, or OSError when the client is gone or slow."""
        try:
            async with asyncio.timeout(seconds):
                head = await self.reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            raise MalformedError(431, "The head of the request is too large.") from None
        if len(head) > MAX_PROXY_HEAD_BYTES:
            raise MalformedError(431, "The head of the request is too large.")
        return read_request(head)

    async def refuse(self, status: int, text: str) -> None:
        """Answers with a sentence, also in the first line, because most clients show only that."""
        body = f"Threadsmith: {text}\n".encode()
        head = (
            f"HTTP/1.1 {status} {text}\r\nContent-Type: text/plain\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        with contextlib.suppress(OSError):
            self.writer.write(head + body)
            await self.wait_closed()

    async def wait_closed(self) -> None:
        """Waits until the client closes; bytes that nobody reads would make the end a reset."""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.writer.drain()
                if self.writer.can_write_eof():
                    self.writer.write_eof()
                while await self.reader.read(_CHUNK_BYTES):
                    pass
