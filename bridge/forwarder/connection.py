"""Passes the bytes of one connection both ways, at the pace of the slower end."""

import errno
import selectors
import socket
import time

_CHUNK_BYTES = 65_536
_DIAL_SECONDS = 5.0
_REDIAL_SECONDS = 0.05
_FAREWELL_SECONDS = 5.0
_HALF_CLOSED_SECONDS = 300.0  # of silence, when one end has said its last

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_AWAY = "The gateway does not answer; the bot may be restarting.\n"
_REFUSAL = (
    "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    f"Content-Length: {len(_AWAY)}\r\n\r\n{_AWAY}"
).encode()


class GatewaySocket:
    """Dials the gateway for one port: a unix socket, or a TCP address and a first line."""

    def __init__(self, path: str = "", address: str = "", preamble: bytes = b"") -> None:
        self.preamble = preamble
        host, _, self._port = address.rpartition(":")
        self._host = host.strip("[]")
        self._address: tuple[int, str | tuple[object, ...]] | None = None
        if path:
            self._address = int(socket.AF_UNIX), path

    def dial(self) -> tuple[socket.socket, int]:
        """Returns a socket that is connecting, and connect's error number. Raises OSError."""
        if self._address is None:
            first = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)[0]
            self._address = int(first[0]), first[4]
        family, where = self._address
        line = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        if family != socket.AF_UNIX:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return line, line.connect_ex(where)

    def forget(self) -> None:
        """Drops the looked-up address, since the gateway may have moved."""
        if self._host:
            self._address = None


class _Flow:
    """Copies one direction, and holds only what was read and is not written yet."""

    def __init__(self, source: socket.socket, target: socket.socket, pending: bytes = b"") -> None:
        self.pending = memoryview(pending)
        self.is_over = False
        self.is_lost = False  # the target takes nothing any more
        self._source = source
        self._target = target
        self._has_ended = False

    @property
    def wants_to_read(self) -> bool:
        return not (self.pending or self._has_ended)

    def read(self) -> None:
        """Reads what is there and passes it on. Raises OSError when the source is broken."""
        data = self._source.recv(_CHUNK_BYTES)
        self._has_ended = not data
        if not self.is_lost:
            self.pending = memoryview(data)
            self.write()

    def write(self) -> None:
        """Writes what waits, and ends the target after the source has ended."""
        try:
            if self.pending:
                self.pending = self.pending[self._target.send(self.pending) :]
            if self._has_ended and not self.pending and not self.is_over:
                self.is_over = True
                self._target.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:
            self.is_lost = True
            self.pending = memoryview(b"")


class Multiplexer:
    """Waits for socket events and timers of all connections."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.connections: set[Connection] = set()
        self._watched: dict[socket.socket, int] = {}
        self._due: dict[Connection, float] = {}

    def on(self, end: socket.socket, events: int, connection: "Connection") -> None:
        """Sets which events of a socket the connection is told; 0: none."""
        known = self._watched.pop(end, 0)
        if events:
            self._watched[end] = events
        if not known and events:
            self.selector.register(end, events, connection)
        elif known and not events:
            self.selector.unregister(end)
        elif known != events:
            self.selector.modify(end, events, connection)

    def wake(self, connection: "Connection", moment: float | None) -> None:
        """Calls `is_due` at this moment, instead of at one named earlier; None: never."""
        self._due.pop(connection, None)
        if moment is not None:
            self._due[connection] = moment

    def forget(self, connection: "Connection") -> None:
        """Removes a closed connection."""
        self.connections.discard(connection)
        self._due.pop(connection, None)

    def pause(self) -> float | None:
        """Returns the seconds until the next timer; None when there is none."""
        return max(0.0, min(self._due.values()) - time.monotonic()) if self._due else None

    def tell(self, end: socket.socket, connection: "Connection", events: int) -> None:
        """Passes an event on, unless its socket was dropped meanwhile."""
        if end in self._watched:
            connection.ready(end, events)

    def run_timers(self) -> None:
        """Calls `is_due` on every connection whose timer has run out."""
        now = time.monotonic()
        for connection in [due for due, moment in self._due.items() if moment <= now]:
            del self._due[connection]
            connection.is_due()


class Connection:
    """Joins one client to its own line to the gateway: dialing, then open, then parting."""

    def __init__(
        self,
        multiplexer: Multiplexer,
        client: socket.socket,
        gateway: GatewaySocket,
        uid: int | None,
    ) -> None:
        self.uid = uid
        self._multiplexer = multiplexer
        self._client = client
        self._gateway = gateway
        self._line: socket.socket | None = None
        self._flows: tuple[_Flow, _Flow] | None = None
        self._is_parting = False
        self._give_up_at = time.monotonic() + _DIAL_SECONDS

    def dial(self) -> None:
        """Connects to the gateway. A unix socket whose backlog is full is tried again."""
        try:
            line, error = self._gateway.dial()
        except OSError:
            return self._part(_REFUSAL)
        if error == 0:
            return self._open(line)
        if error == errno.EINPROGRESS:
            self._line = line
            self._multiplexer.wake(self, self._give_up_at)
            return self._multiplexer.on(line, WRITE, self)
        line.close()
        if error == errno.EAGAIN and time.monotonic() < self._give_up_at:
            return self._multiplexer.wake(self, time.monotonic() + _REDIAL_SECONDS)
        return self._part(_REFUSAL)

    def ready(self, end: object, events: int) -> None:
        """Handles `events` of one of the two sockets."""
        try:
            if self._flows is not None:
                self._move(*self._flows, end is self._client, events)
            elif self._line is None:  # parting
                if not self._client.recv(_CHUNK_BYTES):  # thrown away
                    self.close()
            elif self._line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._part(_REFUSAL)
            else:
                self._open(self._line)
        except BlockingIOError:
            pass
        except OSError:
            if end is self._client:
                self.close()
            else:
                self._part()

    def is_due(self) -> None:
        """Handles the timer that `wake` has set."""
        if self._is_parting or self._flows is not None:
            self.close()
        elif self._line is not None:
            self._part(_REFUSAL)
        else:
            self.dial()

    def close(self) -> None:
        """Closes both sockets."""
        self._drop(self._client)
        self._drop(self._line)
        self._multiplexer.forget(self)

    def _open(self, line: socket.socket) -> None:
        self._multiplexer.wake(self, None)
        self._line = line
        self._flows = _Flow(self._client, line, self._gateway.preamble), _Flow(line, self._client)
        self._look(*self._flows)

    def _move(self, up: _Flow, down: _Flow, is_client: bool, events: int) -> None:
        coming, going = (up, down) if is_client else (down, up)
        if events & WRITE:
            going.write()
        if events & READ and coming.wants_to_read:
            coming.read()
        if down.is_lost or (up.is_over and down.is_over):
            return self.close()
        if down.is_over and up.is_lost:
            return self._part()
        if up.is_over or down.is_over:
            self._multiplexer.wake(self, time.monotonic() + _HALF_CLOSED_SECONDS)
        return self._look(up, down)

    def _look(self, up: _Flow, down: _Flow) -> None:
        for end, coming, going in ((self._client, up, down), (self._line, down, up)):
            events = (READ if coming.wants_to_read else 0) | (WRITE if going.pending else 0)
            if end is not None:
                self._multiplexer.on(end, events, self)

    def _part(self, last: bytes = b"") -> None:
        """Ends it, but waits for the client: a reset would undo what that has not read yet."""
        self._is_parting = True
        self._gateway.forget()
        self._drop(self._line)
        self._line = self._flows = None
        try:
            if last:
                self._client.send(last)
            self._client.shutdown(socket.SHUT_WR)
        except OSError:
            return self.close()
        self._multiplexer.wake(self, time.monotonic() + _FAREWELL_SECONDS)
        return self._multiplexer.on(self._client, READ, self)

    def _drop(self, end: socket.socket | None) -> None:
        if end is not None:
            self._multiplexer.on(end, 0, self)
            end.close()
