"""Socket Mode: tickets, connections, envelopes and their acknowledgements."""

import asyncio
import json
import uuid
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from playground.event_feed import EventFeed
from playground.slack.event_delivery import DeliveryFailed, Kind, OutgoingPayload
from playground.slack.slack_settings import SlackSettings
from playground.slack.slack_state import APP_ID, Json

MAX_CONNECTIONS = 10
TICKET_SECONDS = 30.0
ANSWERABLE: frozenset[Kind] = frozenset({"slash_commands", "interactive"})


@dataclass(eq=False, slots=True)
class AppConnection:
    """One open socket; `draining` after a disconnect frame: it gets no new envelopes.

    A `deaf` one stays open and answers pings, and what is sent to it never arrives.
    """

    id: str
    socket: web.WebSocketResponse
    request: web.Request
    draining: bool = False
    deaf: bool = False
    envelopes: list[str] = field(default_factory=list)


class SocketMode:
    """The transport that the app opens itself. An envelope goes to exactly one connection."""

    def __init__(self, settings: SlackSettings, feed: EventFeed) -> None:
        self._settings = settings
        self._feed = feed
        self._tickets: dict[str, float] = {}
        self._connections: list[AppConnection] = []
        self._turn = 0
        self._waiting: dict[str, asyncio.Future[Json | str | None]] = {}

    @property
    def connections(self) -> int:
        """The number of connections that take envelopes now."""
        return len(self._open())

    def new_ticket(self) -> str:
        ticket = uuid.uuid4().hex
        self._tickets[ticket] = self._settings.clock() + TICKET_SECONDS
        return ticket

    async def connected(self, count: int = 1, timeout_seconds: float = 10.0) -> None:
        """Wait until at least `count` connections take envelopes."""
        await self._feed.until(lambda: self.connections >= count, timeout_seconds)

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Tell every client to reconnect, as Slack does a few times a day."""
        for connection in self._open():
            if reason != "warning":
                connection.draining = True
            await self._say_disconnect(connection, reason)

    def drop(self) -> None:
        """Cut every connection without a word."""
        for connection in self._open():
            connection.draining = True
            if connection.request.transport is not None:
                connection.request.transport.abort()

    def deafen(self) -> None:
        """Let the open connections deliver nothing any more; later ones are not affected."""
        for connection in self._open():
            connection.deaf = True
            self._feed.record("socket_deaf", connection=connection.id)

    async def close(self) -> None:
        for connection in list(self._connections):
            connection.draining = True
            await connection.socket.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        expires = self._tickets.pop(request.query.get("ticket", ""), None)
        if expires is None or expires < self._settings.clock():
            return web.json_response({"ok": False, "error": "invalid_ticket"}, status=403)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        connection = AppConnection(uuid.uuid4().hex, socket, request)
        if len(self._open()) >= MAX_CONNECTIONS:
            await self._say_disconnect(connection, "too_many_websockets")
            await socket.close()
            return socket
        self._connections.append(connection)
        try:
            await self._hello(connection)
            await self._read(connection)
        finally:
            self._connections.remove(connection)
            self._feed.record("socket_closed", connection=connection.id, open=self.connections)
        return socket

    async def send(self, parcel: OutgoingPayload) -> Json | str | None:
        """Send one envelope and wait for its acknowledgement; raises DeliveryFailed."""
        open_connections = self._open()
        if not open_connections:
            raise DeliveryFailed("no_connection")
        self._turn += 1
        connection = open_connections[self._turn % len(open_connections)]
        envelope_id = str(uuid.uuid4())
        answer: asyncio.Future[Json | str | None] = asyncio.get_running_loop().create_future()
        self._waiting[envelope_id] = answer
        try:
            connection.envelopes.append(envelope_id)
            if not connection.deaf:
                await connection.socket.send_str(json.dumps(_envelope(parcel, envelope_id)))
            async with asyncio.timeout(self._settings.ack_timeout_seconds):
                return await answer
        except TimeoutError as error:
            raise DeliveryFailed("timeout") from error
        except ConnectionError as error:
            raise DeliveryFailed("connection_failed") from error
        finally:
            del self._waiting[envelope_id]

    def _open(self) -> list[AppConnection]:
        return [c for c in self._connections if not c.draining and not c.socket.closed]

    async def _hello(self, connection: AppConnection) -> None:
        number = len(self._open())
        hello = {
            "type": "hello",
            "num_connections": number,
            "debug_info": {
                "host": "playground",
                "build_number": 1,
                "approximate_connection_time": 18_060,
            },
            "connection_info": {"app_id": APP_ID},
        }
        await connection.socket.send_str(json.dumps(hello))
        self._feed.record(
            "socket_opened",
            connection=connection.id,
            num_connections=number,
            open=self.connections,
        )

    async def _say_disconnect(self, connection: AppConnection, reason: str) -> None:
        frame = {"type": "disconnect", "reason": reason, "debug_info": {"host": "playground"}}
        await connection.socket.send_str(json.dumps(frame))
        self._feed.record("socket_disconnect_sent", connection=connection.id, reason=reason)

    async def _read(self, connection: AppConnection) -> None:
        async for frame in connection.socket:
            if frame.type is not WSMsgType.TEXT:
                continue
            try:
                message = json.loads(frame.data)
                envelope_id = str(message["envelope_id"])
            except (ValueError, TypeError, KeyError):
                self._feed.record("socket_bad_frame", connection=connection.id)
                continue
            # An acknowledgement counts on whichever connection it arrives: a client that is told
            # to reconnect sends the ones it still owes on its new socket.
            answer = self._waiting.get(envelope_id)
            if answer is None or answer.done():
                self._feed.record("late_acknowledgement", envelope_id=envelope_id)
            else:
                answer.set_result(message.get("payload"))


def _envelope(parcel: OutgoingPayload, envelope_id: str) -> Json:
    envelope: Json = {
        "envelope_id": envelope_id,
        "payload": parcel.payload,
        "type": parcel.kind,
        "accepts_response_payload": parcel.kind in ANSWERABLE,
    }
    if parcel.kind == "events_api":
        envelope |= {"retry_attempt": parcel.attempt, "retry_reason": parcel.reason}
    return envelope
