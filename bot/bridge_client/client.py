"""The bot's side of the bridge's contract: requests, answers, and the stream of events.

The container is untrusted: every answer, frame, count and wait is bounded here.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from bot.agents.ports import BridgeAddress
from bot.bridge_client.sequence import GapError, Sequence
from bot.bridge_client.sse import Frame, Frames
from bot.errors import BridgeRefused, BridgeUnreachable
from bridge.protocol import (
    MAX_FRAME_BYTES,
    PROTOCOL_VERSION,
    Accepted,
    AgentEvent,
    ChatRequest,
    Diff,
    ErrorCode,
    ExecuteRequest,
    Health,
    Status,
    WireError,
    WorkspaceReady,
    WorkspaceRequest,
)

_log = logging.getLogger(__name__)

_Answer = TypeVar("_Answer", bound=BaseModel)

_SMALL_BYTES = 256 * 1024
_MAX_DIFF_CHARS = 2 * 1024 * 1024
# JSON may write one character as six.
_DIFF_BODY_BYTES = 6 * _MAX_DIFF_CHARS + _SMALL_BYTES
_MAX_PATCH_BYTES = 20 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """How long the bot waits for a bridge, and how much nonsense it takes from one."""

    connect_seconds: float = 5.0
    answer_seconds: float = 15.0
    diff_seconds: float = 60.0
    # The bridge has a deadline of its own for the clone; this is for a bridge without one.
    prepare_seconds: float = 3_700.0
    health_seconds: float = 1.0
    first_pause_seconds: float = 0.02
    longest_pause_seconds: float = 0.2
    # The bridge sends a comment every 15 s.
    silence_seconds: float = 45.0
    # After this the caller asks the engine whether the container still runs, and comes back.
    away_seconds: float = 5.0
    first_backoff_seconds: float = 0.1
    longest_backoff_seconds: float = 3.0
    invalid_frames: int = 20
    fruitless_gaps: int = 3


class HttpBridge:
    """Implements the Bridge port over HTTP. `session` stays the caller's to close."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._limits = limits or Limits()
        self._clock = clock

    async def wait_ready(self, address: BridgeAddress, timeout_seconds: float) -> None:
        """Return when the bridge answers; raises BridgeUnreachable after the timeout.

        Raises BridgeRefused when it speaks a protocol newer than ours.
        """
        reason = ""

        async def ask_until_it_answers() -> bytes:
            nonlocal reason
            pause = self._limits.first_pause_seconds
            while True:
                try:
                    return await self._bytes(address, "GET", "/health", self._limits.health_seconds)
                except BridgeUnreachable as error:
                    reason = str(error)
                # Nothing can tell us that a port opens: the one place that has to ask again.
                await asyncio.sleep(pause)
                pause = min(pause * 1.5, self._limits.longest_pause_seconds)

        try:
            async with asyncio.timeout(timeout_seconds):
                body = await ask_until_it_answers()
        except TimeoutError as error:
            raise BridgeUnreachable(f"not ready in {timeout_seconds:g} s: {reason}") from error
        health = _read(Health, body)
        if health.protocol > PROTOCOL_VERSION:
            message = (
                f"The container speaks protocol {health.protocol} and this bot {PROTOCOL_VERSION}: "
                "upgrade the bot, or build the image of this version with `make image`."
            )
            raise BridgeRefused(200, WireError(code=ErrorCode.INTERNAL, message=message))

    async def prepare(self, address: BridgeAddress, request: WorkspaceRequest) -> WorkspaceReady:
        """Clone, or find the clone already there."""
        body = await self._bytes(
            address, "POST", "/agent/workspace", self._limits.prepare_seconds, body=request
        )
        return _read(WorkspaceReady, body)

    async def execute(self, address: BridgeAddress, request: ExecuteRequest) -> Accepted:
        """Start the first task; safe to send twice."""
        return await self._accepted(address, "/agent/execute", request)

    async def chat(self, address: BridgeAddress, request: ChatRequest) -> Accepted:
        """Hand over the next message; safe to send twice."""
        return await self._accepted(address, "/agent/chat", request)

    async def interrupt(self, address: BridgeAddress, timeout_seconds: float) -> None:
        """Kill the running tool and end the task; returns when that is done."""
        await self._bytes(address, "POST", "/agent/interrupt", timeout_seconds)

    async def status(self, address: BridgeAddress) -> Status:
        """Ask what the bridge is doing."""
        seconds = self._limits.answer_seconds
        return _read(Status, await self._bytes(address, "GET", "/agent/status", seconds))

    async def diff(self, address: BridgeAddress) -> Diff:
        """Return what changed against the source branch; its text is at most 2 Mi characters."""
        seconds = self._limits.diff_seconds
        body = await self._bytes(address, "GET", "/agent/diff", seconds, _DIFF_BODY_BYTES)
        diff = _read(Diff, body)
        if len(diff.text) <= _MAX_DIFF_CHARS:
            return diff
        return diff.model_copy(update={"text": diff.text[:_MAX_DIFF_CHARS], "truncated": True})

    async def patch(self, address: BridgeAddress) -> bytes:
        """Return the same as a patch that `git apply` accepts, at most 20 MiB."""
        seconds = self._limits.diff_seconds
        return await self._bytes(address, "GET", "/agent/patch", seconds, _MAX_PATCH_BYTES)

    async def events(self, address: BridgeAddress, after_seq: int) -> AsyncGenerator[AgentEvent]:
        """Every stored event after `after_seq`, then the new ones, across cuts of the link.

        Ends by BridgeUnreachable when the bridge stays away, or sends nonsense without end; by
        BridgeRefused when it refuses. Close the iterator (`aclosing`) when leaving it early.
        """
        limits = self._limits
        sequence = Sequence(after_seq, limits.invalid_frames, limits.fruitless_gaps)
        backoff, away_since = limits.first_backoff_seconds, self._clock()
        while True:
            reason, heard = "the bridge ended the stream", False
            try:
                async with aclosing(self._connection(address, sequence.last_seq)) as frames:
                    async for frame in frames:
                        heard = True
                        event = sequence.take(frame) if frame else None
                        if event is not None:
                            backoff = limits.first_backoff_seconds
                            yield event
            except GapError as error:
                reason = str(error)
            except (aiohttp.ClientError, TimeoutError) as error:
                reason = f"{type(error).__name__}: {error}"
            if heard:
                away_since = self._clock()
            if self._clock() - away_since >= limits.away_seconds:
                raise BridgeUnreachable(f"away for {limits.away_seconds:g} s: {reason}")
            _log.info("an event stream broke, asking again in %.2f s: %s", backoff, reason)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, limits.longest_backoff_seconds)

    async def _connection(
        self, address: BridgeAddress, after_seq: int
    ) -> AsyncGenerator[Frame | None]:
        """One connection's frames; None for each piece that shows only that the link is alive."""
        limits = self._limits
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=limits.connect_seconds, sock_read=limits.silence_seconds
        )
        async with self._session.get(
            f"{address.endpoint}/agent/events",
            params={"after": str(after_seq)},
            headers={
                **_authorization(address),
                "Accept": "text/event-stream",
                "Accept-Encoding": "identity",
                "Last-Event-ID": str(after_seq),
            },
            allow_redirects=False,
            timeout=timeout,
        ) as response:
            if response.status != 200:  # noqa: PLR2004
                refusal = _refusal(response.status, await _bounded(response, _SMALL_BYTES))
                if response.status < 500:  # noqa: PLR2004
                    raise refusal
                raise aiohttp.ClientError(str(refusal))
            frames = Frames(MAX_FRAME_BYTES)
            async for chunk in response.content.iter_any():
                yield None
                for frame in frames.feed(chunk):
                    yield frame

    async def _accepted(
        self, address: BridgeAddress, path: str, request: ExecuteRequest | ChatRequest
    ) -> Accepted:
        seconds = self._limits.answer_seconds
        return _read(Accepted, await self._bytes(address, "POST", path, seconds, body=request))

    async def _bytes(
        self,
        address: BridgeAddress,
        method: str,
        path: str,
        seconds: float,
        limit_bytes: int = _SMALL_BYTES,
        *,
        body: BaseModel | None = None,
    ) -> bytes:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if path != "/health":
            headers |= _authorization(address)
        if body is not None:
            headers["Content-Type"] = "application/json"
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=self._limits.connect_seconds)
        try:
            async with self._session.request(
                method,
                address.endpoint + path,
                data=body.model_dump_json().encode() if body is not None else None,
                headers=headers,
                allow_redirects=False,
                timeout=timeout,
            ) as response:
                content = await _bounded(response, limit_bytes)
                if not 200 <= response.status < 300:  # noqa: PLR2004
                    raise _refusal(response.status, content)
                return content
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BridgeUnreachable(f"{method} {path}: {type(error).__name__}: {error}") from error


class _TooLargeError(aiohttp.ClientError):
    """An answer beyond its bound."""


async def _bounded(response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit_bytes:
            raise _TooLargeError(f"an answer of more than {limit_bytes} bytes")
    return bytes(body)


def _authorization(address: BridgeAddress) -> dict[str, str]:
    return {"Authorization": f"Bearer {address.token.get_secret_value()}"}


def _read(model: type[_Answer], body: bytes) -> _Answer:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        text = f"not a {model.__name__}: {first['type']} at {first['loc']}"
        raise BridgeUnreachable(text[:300]) from error


def _refusal(status: int, body: bytes) -> BridgeRefused:
    """Read an error of the contract; anything else, from whatever answered, is `internal`."""
    for shape in (_Wrapped, WireError):
        try:
            found = shape.model_validate_json(body)
        except ValidationError:
            continue
        return BridgeRefused(status, found.error if isinstance(found, _Wrapped) else found)
    message = f"the bridge answered with status {status}"
    return BridgeRefused(status, WireError(code=ErrorCode.INTERNAL, message=message))


class _Wrapped(BaseModel):
    error: WireError
