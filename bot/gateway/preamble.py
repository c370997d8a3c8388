"""The first line by which a container on an open network says whose connection comes.

Its forwarder writes `THREADSMITH token` before anything else; what follows is HTTP. A connection
without that line is served as well: its requests name their agent themselves, as all do.
"""

import asyncio
from collections.abc import Callable

_WORD = b"THREADSMITH "
_MAX_PREAMBLE_BYTES = 256
_LINE_SECONDS = 10.0


class Preamble(asyncio.Protocol):
    """Reads the line and hands the connection on.

    `entrance_of` gives a protocol for the token's agent, None when it opens nothing; `shared` one
    for a connection without a line.
    """

    def __init__(
        self,
        entrance_of: Callable[[str], asyncio.Protocol | None],
        shared: Callable[[], asyncio.Protocol] | None,
    ) -> None:
        self._entrance_of = entrance_of
        self._shared = shared
        self._read = b""
        self._transport: asyncio.Transport | None = None
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the line, for a while."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a connection that is no stream")
        self._transport = transport
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(_LINE_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Look whether the line is whole, or whether there is none."""
        self._read += data
        line, end, rest = self._read.partition(b"\n")
        if not _WORD.startswith(self._read[: len(_WORD)]):
            self._hand_over(self._shared() if self._shared else None, self._read)
        elif end and len(line) <= _MAX_PREAMBLE_BYTES:
            token = line.removeprefix(_WORD).decode("latin-1")
            self._hand_over(self._entrance_of(token), rest)
        elif len(self._read) > _MAX_PREAMBLE_BYTES:
            self._hand_over(None, b"")

    def connection_lost(self, _: Exception | None) -> None:
        """It went away before it had said anything."""
        self._stop_waiting()

    def _hand_over(self, protocol: asyncio.Protocol | None, data: bytes) -> None:
        self._stop_waiting()
        transport = self._transport
        if transport is None:
            return
        if protocol is None:
            transport.abort()
            return
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if data:
            protocol.data_received(data)

    def _stop_waiting(self) -> None:
        if self._patience:
            self._patience.cancel()
