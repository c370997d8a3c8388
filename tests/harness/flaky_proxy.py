"""A TCP proxy for tests: it forwards bytes faithfully, and cuts or stops when it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_PIECE_BYTES = 65_536


class FlakyProxy:
    """Forwards connections to one address.

    `every_seconds` cuts all open connections again and again, in the middle of whatever they
    carry; `cut` does it once. While `refuse` is set new connections are closed at once.
    """

    def __init__(self, target: str, every_seconds: float | None = None) -> None:
        where = urlsplit(target)
        self._host, self._port = where.hostname, where.port
        self._every_seconds = every_seconds
        self._open: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.url = ""
        self.connections = 0
        self.cuts = 0  # connections that were cut
        self.refuse = False

    async def start(self) -> None:
        """Listen on a free port of this machine, named by `url`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._schedule()

    async def stop(self) -> None:
        """Cut everything and stop listening."""
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        self.cut()
        await asyncio.gather(*self._open, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def cut(self) -> None:
        """Reset every open connection, both ways."""
        for writers in tuple(self._open.values()):
            self.cuts += 1
            for writer in writers:
                writer.transport.abort()

    def _schedule(self) -> None:
        if self._every_seconds is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._every_seconds, self._cut_again)

    def _cut_again(self) -> None:
        self.cut()
        self._schedule()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        writers = self._open[task] = [writer]
        self.connections += 1
        try:
            if self.refuse:
                return
            with suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(self._host, self._port)
                writers.append(far_writer)
                async with asyncio.TaskGroup() as group:
                    group.create_task(_copy(reader, far_writer))
                    group.create_task(_copy(far_reader, writer))
        finally:
            del self._open[task]
            for one in writers:
                one.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(_PIECE_BYTES):
            writer.write(data)
            await writer.drain()
    # One end is gone: let the other end's reader see it too.
    writer.close()


@asynccontextmanager
async def flaky_proxy(target: str, every_seconds: float | None = None) -> AsyncIterator[FlakyProxy]:
    """A proxy before `target` (an http URL) for as long as the context lasts."""
    proxy = FlakyProxy(target, every_seconds)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
