"""One model call on its way back: passed on as it comes, metered as it passes, entered once."""

import json
import logging
from collections.abc import Awaitable, Mapping

import aiohttp
from aiohttp import web

from bot.agents.access.billing import Billing, CallResult, Reservation
from bot.files import BodyTooLargeError, read_bounded
from bot.gateway.model.usage import UsageReader, usage_in
from bot.gateway.upstream import UpstreamError

_PASSED_HEADERS = ("Content-Type", "Cache-Control", "Retry-After", "X-Generation-Id")
_MAX_ERROR_BYTES = 64 * 1024
_MAX_COMPLETION_BYTES = 32 * 1024 * 1024

_log = logging.getLogger(__name__)


class CallRecord:
    """The call's place in the ledger. What is not known when it closes counts at its worst."""

    def __init__(self, accountant: Billing | None, leave: Reservation) -> None:
        self._accountant = accountant
        self._leave = leave
        self._closed = False
        self.ending = CallResult()

    async def close(self) -> None:
        """Enter how the call ended; only the first time counts."""
        if not self._closed and self._accountant is not None:
            self._closed = True
            await self._accountant.settle(self._leave, self.ending)


async def complete(
    request: web.Request,
    asking: Awaitable[aiohttp.ClientResponse],
    entry: CallRecord,
    key: str,
) -> web.StreamResponse:
    """Ask the provider and pass its answer on. `key` is blotted out of what it says about errors.

    Raises UpstreamError, only while nothing has been answered yet. The ledger is right before the
    reader sees the end of the answer.
    """
    try:
        upstream = await asking
    except aiohttp.ClientConnectorError as error:
        entry.ending = CallResult(refused=True)
        raise UpstreamError(f"{type(error).__name__}: {error}") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UpstreamError(f"{type(error).__name__}: {error}") from error
    async with upstream:
        if upstream.status != 200:  # noqa: PLR2004
            entry.ending = CallResult(refused=True)
            return await _refusal(upstream, key)
        if upstream.content_type == "text/event-stream":
            return await _stream(request, upstream, entry)
        return await _whole(upstream, entry)


async def _stream(
    request: web.Request, upstream: aiohttp.ClientResponse, entry: CallRecord
) -> web.StreamResponse:
    response = web.StreamResponse(headers=_passed(upstream.headers))
    await response.prepare(request)
    reader, seen = UsageReader(), 0
    pieces = aiter(upstream.content.iter_any())
    while True:
        try:
            piece = await anext(pieces, None)
        except (aiohttp.ClientError, TimeoutError) as error:
            _log.warning("the model provider broke off: %s", type(error).__name__)
            await entry.close()
            if request.transport is not None:
                # The reader must not take the part for the whole.
                request.transport.abort()
            return response
        if piece is None:
            break
        reader.feed(piece)
        seen += len(piece)
        entry.ending = CallResult(usage=reader.usage)
        if reader.done:
            entry.ending = CallResult(usage=reader.usage, seen_bytes=seen)
            await entry.close()
        await response.write(piece)
    entry.ending = CallResult(usage=reader.usage, seen_bytes=seen)
    await entry.close()
    await response.write_eof()
    return response


async def _whole(upstream: aiohttp.ClientResponse, entry: CallRecord) -> web.Response:
    try:
        body = await read_bounded(upstream.content.iter_any(), _MAX_COMPLETION_BYTES)
    except (aiohttp.ClientError, TimeoutError, BodyTooLargeError) as error:
        raise UpstreamError(f"{type(error).__name__}: {error}") from error
    entry.ending = CallResult(usage=usage_in(body), seen_bytes=len(body))
    await entry.close()
    return web.Response(body=body, headers=_passed(upstream.headers))


async def _refusal(upstream: aiohttp.ClientResponse, key: str) -> web.Response:
    try:
        body = await read_bounded(upstream.content.iter_any(), _MAX_ERROR_BYTES)
    except (aiohttp.ClientError, TimeoutError, BodyTooLargeError):
        text = f"The model provider answered {upstream.status}, and more than is worth reading."
        body = json.dumps({"error": {"code": upstream.status, "message": text}}).encode()
        return web.Response(
            status=upstream.status, body=body, headers={"Content-Type": "application/json"}
        )
    if key:
        body = body.replace(key.encode(), b"***")
    return web.Response(status=upstream.status, body=body, headers=_passed(upstream.headers))


def _passed(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in _PASSED_HEADERS if name in headers}
