"""Captures what leaves or enters this machine, or crosses a bridge between containers."""

import socket
import threading
from types import TracebackType
from typing import Self

_ALL_PROTOCOLS = 0x0003
_LARGEST = 65_535


class Capture:
    """Every packet of every interface but loopback, for the length of a block. Needs root."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._socket = socket.socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ALL_PROTOCOLS)
        )
        self._socket.settimeout(0.2)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._ending.set()
        self._thread.join()
        self._socket.close()

    def _read(self) -> None:
        while not self._ending.is_set():
            try:
                packet, address = self._socket.recvfrom(_LARGEST)
            except TimeoutError:
                continue
            if address[0] != "lo":
                self.data += packet
