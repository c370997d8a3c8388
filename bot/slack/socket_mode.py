"""Keeps one Socket Mode connection, and replaces one that is cut off or receives nothing.

The SDK reconnects when a socket closes or no longer answers pings. It does not notice a socket
that answers pings and delivers nothing. A quiet workspace looks the same, so silence alone is
reason enough: the new connection is opened before the old one is closed, which costs nothing.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp

from bot.slack.outbox.rate_limits import Clock, MonotonicClock

_log = logging.getLogger(__name__)

# With the checks and the time to connect, a deaf socket is replaced within 90 seconds.
SILENT_SECONDS = 80.0
LOST_SECONDS = 60.0
_CHECK_SECONDS = 5.0
_CONNECT_SECONDS = 30.0
# An event of this time before the last one that was heard may have been lost as well.
_MARGIN_SECONDS = 60.0


class SocketConnection:
    """Receives the app's events. `on_gap(seconds)` is called when some may have been missed.

    `last_envelope_at` is of the clock, None before the first; `reconnects` counts every new
    socket after the first; `sockets` is how many Slack says this app has.
    """

    def __init__(
        self,
        app: AsyncApp,
        app_token: str,
        on_gap: Callable[[float], None],
        *,
        clock: Clock | None = None,
    ) -> None:
        self._app = app
        self._app_token = app_token
        self._on_gap = on_gap
        self._clock = clock or MonotonicClock()
        self._handlers: list[AsyncSocketModeHandler] = []
        self._heard_at = self._connected_at = self._replaced_at = self._clock.now()
        self._greeted = False
        self._ours = 1
        self.last_envelope_at: float | None = None
        self.reconnects = 0
        self.sockets = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connects, and watches the connection for the length of a block."""
        try:
            await self._open()
            self._heard_at = self._connected_at = self._replaced_at = self._clock.now()
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch())
                yield
                watching.cancel()
        finally:
            for handler in list(self._handlers):
                await self._close(handler)

    async def _watch(self) -> None:
        never = asyncio.Event()
        while True:
            await self._clock.wait(never, _CHECK_SECONDS)
            try:
                await self._check()
            except Exception:  # noqa: BLE001  (the SDK's trouble must not end the watch)
                _log.exception("The connection to Slack could not be replaced")

    async def _check(self) -> None:
        now = self._clock.now()
        if await self._handlers[-1].client.is_connected():
            self._connected_at = now
        silent, lost = now - self._heard_at, now - self._connected_at
        if silent <= SILENT_SECONDS and lost <= LOST_SECONDS:
            return
        if now - self._replaced_at < SILENT_SECONDS:
            return
        self._replaced_at = now
        _log.info("Slack was silent for %.0f s, cut off for %.0f s; replacing", silent, lost)
        old = list(self._handlers)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await self._open()
        except TimeoutError:
            _log.warning("No new connection to Slack within %.0f s", _CONNECT_SECONDS)
            return
        for handler in old:
            await self._close(handler)

    async def _open(self) -> None:
        handler = AsyncSocketModeHandler(self._app, self._app_token)
        handler.client.message_listeners.append(self._heard)
        self._handlers.append(handler)
        # Slack counts at the greeting, which is read when the old ones may be closed already.
        self._ours = len(self._handlers)
        try:
            await handler.connect_async()  # type: ignore[no-untyped-call]
        except asyncio.CancelledError:
            await self._close(handler)
            raise

    async def _close(self, handler: AsyncSocketModeHandler) -> None:
        if handler in self._handlers:
            self._handlers.remove(handler)
        client = handler.client
        tasks = (client.message_processor, client.current_session_monitor, client.message_receiver)
        await handler.close_async()  # type: ignore[no-untyped-call]
        await asyncio.gather(*filter(None, tasks), return_exceptions=True)

    async def _heard(self, _client: object, message: dict[str, Any], _raw: str | None) -> None:
        now = self._clock.now()
        silent, self._heard_at = now - self._heard_at, now
        if message.get("type") == "hello":
            self._hello(message, silent)
        elif message.get("envelope_id"):
            self.last_envelope_at = now

    def _hello(self, message: dict[str, Any], silent: float) -> None:
        self.sockets = int(message.get("num_connections") or 1)
        # While one is replaced there are two of our own.
        ours, self._ours = max(self._ours, len(self._handlers)), 1
        if self.sockets > ours:
            _log.warning(
                "Slack sees %d connections of this app: another process uses the same "
                "SLACK_APP_TOKEN and gets some of the events",
                self.sockets,
            )
        if self._greeted:
            self.reconnects += 1
            self._on_gap(silent + _MARGIN_SECONDS)
        self._greeted = True
