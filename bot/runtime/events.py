"""Follows the engine's event stream on its own thread, and names agents whose container ended."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Protocol

from bot.errors import EngineError
from bot.runtime.errors import sdk_errors
from bot.runtime.spec import LABEL_AGENT

_CLOSE_SECONDS = 2.0

Json = dict[str, Any]


class EventStream(Protocol):
    """Yields events, as the engine's SDK does; `close` ends the iteration from another thread."""

    def __iter__(self) -> Iterator[Json]:
        """Blocks until the next event."""

    def close(self) -> None:
        """Ends the stream."""


class EngineEvents:
    """Follows one stream. `open_stream` blocks and raises EngineError; it runs on the thread.

    The thread is a daemon outside any pool, because an engine may be silent without any bound.
    """

    def __init__(self, open_stream: Callable[[], EventStream], address: str) -> None:
        self._open = open_stream
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._finished = asyncio.Event()
        # Each agent at most once, so a storm of events stays small.
        self._ended: dict[str, None] = {}
        self._error: EngineError | None = None
        self._lock = threading.Lock()
        self._stream: EventStream | None = None
        self._closed = False

    async def agent_ids(self) -> AsyncGenerator[str, None]:
        """Yields until the stream ends or is closed; raises EngineError. To be used once."""
        threading.Thread(target=self._follow, name="engine-events", daemon=True).start()
        try:
            while not self._ending():
                await self._news.wait()
                self._news.clear()
                while self._ended:
                    agent_id = next(iter(self._ended))
                    del self._ended[agent_id]
                    yield agent_id
            if self._error is not None:
                raise self._error
        finally:
            if self.close():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CLOSE_SECONDS):
                        await self._finished.wait()

    def _ending(self) -> bool:
        return self._closed or (self._finished.is_set() and not self._ended)

    def close(self) -> bool:
        """Ends the iteration without an error; returns whether there was a stream to close."""
        with self._lock:
            self._closed = True
            self._news.set()
            return self._close_stream()

    def _close_stream(self) -> bool:
        stream, self._stream = self._stream, None
        if stream is not None:
            # The other side closed it first, or does so just now.
            with contextlib.suppress(OSError, AttributeError):
                stream.close()
        return stream is not None

    def _follow(self) -> None:
        error = None
        try:
            with sdk_errors(self._address):
                for event in self._open_and_keep():
                    agent_id = event.get("Actor", {}).get("Attributes", {}).get(LABEL_AGENT)
                    if agent_id:
                        self._call_in_loop(self._add_agent, str(agent_id))
        except EngineError as raised:
            error = raised
        finally:
            self._call_in_loop(self._finish, error)

    def _open_and_keep(self) -> EventStream:
        stream = self._open()
        with self._lock:
            self._stream = stream
            if self._closed:
                self._close_stream()
        return stream

    def _call_in_loop(self, callback: Callable[..., None], argument: object) -> None:
        # RuntimeError: the loop is gone, and with it everybody who listened.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, argument)

    def _add_agent(self, agent_id: str) -> None:
        self._ended[agent_id] = None
        self._news.set()

    def _finish(self, error: EngineError | None) -> None:
        self._error = error
        self._finished.set()
        self._news.set()
