"""Forwards a request to an upstream and its answer back, byte for byte, as both arrive."""

import logging
from collections.abc import AsyncIterator, Mapping

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from bot.files import BodyTooLargeError

MAX_BODY_BYTES = 20 * 1024 * 1024
MAX_API_ANSWER_BYTES = 1024 * 1024  # of a provider or a git host, in JSON
# The bridge gives up on a silent model sooner; this only keeps dead connections from piling up.
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=300)

# Only what the upstream needs to understand the request goes out. Everything else stays here:
# credentials, cookies, forwarding headers, and headers about the connection itself.
_REQUEST_HEADERS = frozenset(
    {"accept", "accept-encoding", "content-type", "content-encoding", "git-protocol"}
)
_DROPPED_ANSWER_HEADERS = frozenset(
    {
        "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
        "transfer-encoding", "upgrade", "set-cookie", "www-authenticate", "alt-svc", "location",
        "strict-transport-security",
    }
)  # fmt: skip

_UNREAD = frozenset({401, 408, 413, 415, 429})

_log = logging.getLogger(__name__)


class UpstreamError(Exception):
    """The upstream could not be reached, or ended before it had answered."""


class _BoundedBody:
    """Streams the request's body; notes when it grows beyond the bound."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.too_large = (request.content_length or 0) > MAX_BODY_BYTES

    async def chunks(self) -> AsyncIterator[bytes]:
        total = 0
        async for chunk in self._request.content.iter_any():
            total += len(chunk)
            if total > MAX_BODY_BYTES:
                self.too_large = True
                raise BodyTooLargeError
            yield chunk


def forwarded_headers(headers: Mapping[str, str]) -> CIMultiDict[str]:
    """Returns the part of a container's request headers that the upstream may see."""
    return CIMultiDict(
        (name, value) for name, value in headers.items() if name.lower() in _REQUEST_HEADERS
    )


async def forward_request(
    request: web.Request, session: aiohttp.ClientSession, url: str, headers: CIMultiDict[str]
) -> web.StreamResponse:
    """Sends the request to `url` with exactly `headers`, and streams the answer back.

    Redirects are not followed: the headers hold a credential. Raises BodyTooLargeError and
    UpstreamError, both only while nothing has been answered yet.
    """
    body = _BoundedBody(request)
    if body.too_large:
        raise BodyTooLargeError
    if request.can_read_body and request.content_length is not None:
        headers["Content-Length"] = str(request.content_length)
    try:
        upstream = await session.request(
            request.method,
            url,
            headers=headers,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            data=body.chunks() if request.can_read_body else None,
            allow_redirects=False,
            auto_decompress=False,
            timeout=TIMEOUT,
        )
    except (aiohttp.ClientError, TimeoutError, BodyTooLargeError) as error:
        if body.too_large:
            raise BodyTooLargeError from error
        raise UpstreamError(f"{type(error).__name__}: {error}") from error
    async with upstream:
        return await stream_answer(request, upstream)


async def stream_answer(
    request: web.Request, upstream: aiohttp.ClientResponse
) -> web.StreamResponse:
    """Streams an upstream's answer to the container, each piece as soon as it is there.

    An upstream that breaks off breaks this answer off too, so that the reader cannot take the
    part for the whole.
    """
    response = web.StreamResponse(status=upstream.status)
    for name, value in upstream.headers.items():
        if name.lower() not in _DROPPED_ANSWER_HEADERS:
            response.headers.add(name, value)
    await response.prepare(request)
    try:
        async for chunk in upstream.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
    except (aiohttp.ClientPayloadError, aiohttp.ClientConnectionError, TimeoutError) as error:
        if request.transport is not None:
            _log.warning("an upstream broke off: %s", type(error).__name__)
            request.transport.abort()
    return response


def problem(
    status: int, message: str, *, retry_after_seconds: float | None = None, **metadata: str
) -> web.Response:
    """Builds an error in the provider's own shape, so that any client understands it."""
    error: dict[str, object] = {"code": status, "message": message}
    if metadata:
        error["metadata"] = metadata
    response = web.json_response({"error": error}, status=status)
    if retry_after_seconds is not None:
        response.headers["Retry-After"] = str(max(1, round(retry_after_seconds + 0.5)))
    if status in _UNREAD:  # the rest of the body is not worth reading
        response.force_close()
    return response


class RequestRefusedError(Exception):
    """The gateway does not forward the request; its agent reads `message`."""

    def __init__(
        self, status: int, message: str, *, retry_after_seconds: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self._retry_after_seconds = retry_after_seconds

    def response(self) -> web.Response:
        """Builds the answer that says so."""
        return problem(self.status, self.message, retry_after_seconds=self._retry_after_seconds)
