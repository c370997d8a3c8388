"""Streams the event log over HTTP: server-sent events and WebSocket frames of the same JSON."""

import asyncio
import time
from collections.abc import Callable

from aiohttp import WSCloseCode, web

from bridge.errors import BridgeError
from bridge.protocol import ErrorCode
from bridge.state.event_log import EventFrame, EventLog, Follower

MAX_STREAMS = 48  # of 64 connections: the others are for requests
_WRITE_SECONDS = 120.0  # a reader that takes nothing for so long is gone; it may come back
_LOOK_SECONDS = 0.5  # nothing tells a handler that waits that its connection is gone
_MAX_INCOMING_BYTES = 4_096  # of a frame that is then refused anyhow
_CLOSE_SECONDS = 2.0
_HEARTBEAT = b": heartbeat\n\n"


class Streams:
    """Sends the log to any number of readers, each at its own pace."""

    def __init__(
        self, log: EventLog, is_over: Callable[[str], bool], *, heartbeat_seconds: float
    ) -> None:
        self._log = log
        self._is_over = is_over
        self._heartbeat_seconds = heartbeat_seconds
        self._open = 0

    def place(self, request: web.Request) -> int | None:
        """Returns the number of the last event that the reader names, if it names one.

        Raises BridgeError when it is no number, or lies beyond the log.
        """
        number = None
        for value in (request.query.get("after"), request.headers.get("Last-Event-ID")):
            if value is not None:
                number = self._number(value)
        return number

    def _number(self, value: str) -> int:
        if not (value.isascii() and value.isdecimal() and len(value) < 16):  # noqa: PLR2004  (digits)
            raise BridgeError(
                ErrorCode.INVALID_REQUEST, "`after` and Last-Event-ID have to be an event's number."
            )
        if int(value) > self._log.last_seq:
            raise BridgeError(
                ErrorCode.INVALID_REQUEST,
                f"There is no event {int(value)} yet; the last one is {self._log.last_seq}.",
            )
        return int(value)

    async def send(
        self, request: web.Request, after: int, *, task_id: str | None = None
    ) -> web.StreamResponse:
        """Sends server-sent events: all of them, or those of one task until it is over."""
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        self._enter()
        try:
            with self._log.follow(after) as follower:
                await response.prepare(request)
                await self._send(request, response, follower, task_id)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._open -= 1
        return response

    async def send_websocket(self, request: web.Request, after: int) -> web.WebSocketResponse:
        """Sends the same events, one JSON object a text message.

        Who sends anything but control frames is closed: 1003 for a message, 1009 for one that is
        too long, 1007 for text that is none, 1002 for what is no frame.
        """
        response = web.WebSocketResponse(
            heartbeat=self._heartbeat_seconds,
            max_msg_size=_MAX_INCOMING_BYTES,
            timeout=_CLOSE_SECONDS,
            compress=False,
        )
        self._enter()
        try:
            with self._log.follow(after) as follower:
                await response.prepare(request)
                async with asyncio.TaskGroup() as group:
                    sender = group.create_task(self._send_messages(response, follower))
                    async for _ in response:  # closed already, where it was no frame
                        await response.close(code=WSCloseCode.UNSUPPORTED_DATA)
                    sender.cancel()
        finally:
            self._open -= 1
        return response

    def _enter(self) -> None:
        if self._open >= MAX_STREAMS:
            # Not an error of the contract: it passes, and whoever asks again gets in.
            raise web.HTTPServiceUnavailable(reason=f"There are {MAX_STREAMS} streams already")
        self._open += 1

    async def _send(
        self,
        request: web.Request,
        response: web.StreamResponse,
        follower: Follower,
        task_id: str | None,
    ) -> None:
        heard = time.monotonic()
        while not self._log.closed and request.transport is not None:
            # Asked before the log is read: what the task told last is in it by then.
            is_over = task_id is not None and self._is_over(task_id)
            look = 0.0 if is_over else min(_LOOK_SECONDS, self._heartbeat_seconds)
            frames = await follower.next(look)
            if is_over and not frames:
                return  # its reader has everything, or it was withdrawn
            wanted = [frame for frame in frames if task_id in (None, frame.task_id)]
            data = b"".join(map(_sse, wanted))
            if not data and time.monotonic() - heard >= self._heartbeat_seconds:
                data = _HEARTBEAT
            if data:
                heard = time.monotonic()
                async with asyncio.timeout(_WRITE_SECONDS):
                    await response.write(data)
            if task_id is not None and any(frame.kind == "task_finished" for frame in wanted):
                return

    async def _send_messages(self, response: web.WebSocketResponse, follower: Follower) -> None:
        try:
            while not self._log.closed:
                for frame in await follower.next(self._heartbeat_seconds):
                    async with asyncio.timeout(_WRITE_SECONDS):
                        await response.send_str(frame.data)
        except (ConnectionError, TimeoutError):
            pass
        await response.close(code=WSCloseCode.GOING_AWAY)


def _sse(frame: EventFrame) -> bytes:
    number = f"id: {frame.seq}\n" if frame.seq else ""
    return f"{number}event: {frame.kind}\ndata: {frame.data}\n\n".encode()
