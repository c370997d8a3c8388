"""Sends one request to a bridge and reads its answer, both bounded in size and time."""

import contextlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from bot.agents.deadlines import (
    CHANGE_WAIT_SECONDS,
    INTERRUPT_WAIT_SECONDS,
    PUSH_WAIT_SECONDS,
    READ_WAIT_SECONDS,
)
from bot.domain.container import BridgeAddress
from bot.errors import AnswerTooLarge, BridgeRefused, BridgeUnreachable
from bot.files import BodyTooLargeError, read_bounded, untrusted_socket_address
from bridge.protocol import ErrorCode, WireError

SMALL_BYTES = 256 * 1024
_UNIX = "unix:"
_NOWHERE = "http://bridge"

_Answer = TypeVar("_Answer", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """Limits how long the bot waits for a bridge, and how many unreadable frames it accepts."""

    connect_seconds: float = 5.0
    # A message that interrupts is answered once the task before it has ended.
    answer_seconds: float = INTERRUPT_WAIT_SECONDS + 3.0
    diff_seconds: float = READ_WAIT_SECONDS
    # The bridge has a deadline of its own for the clone; this is for a bridge without one.
    prepare_seconds: float = 3_700.0
    # A whole conversation crosses the wire, and the disk behind it syncs.
    conversation_seconds: float = 60.0
    apply_seconds: float = CHANGE_WAIT_SECONDS
    push_seconds: float = PUSH_WAIT_SECONDS
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


class BridgeConnections:
    """Opens a session for each request, over TCP or over a unix socket.

    The socket is in a folder that an untrusted container shares, which may put anything at that
    path. So the path is opened without following a link, must be a socket, and the connection goes
    to that very socket. `session` is the one for TCP, and stays the caller's.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @asynccontextmanager
    async def open_session(self, endpoint: str) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
        """Opens a session for this endpoint; yields it with the base of its addresses.

        Raises aiohttp.ClientError when there is no socket.
        """
        if not endpoint.startswith(_UNIX):
            yield self._session, endpoint
            return
        with contextlib.ExitStack() as stack:
            try:
                path = stack.enter_context(
                    untrusted_socket_address(Path(endpoint.removeprefix(_UNIX)))
                )
            except OSError as error:
                raise aiohttp.ClientConnectionError(
                    f"{error.filename}: {error.strerror}"
                ) from error
            # It costs next to nothing, and there is nothing to keep or to close for an agent.
            connector = aiohttp.UnixConnector(path, force_close=True)
            async with aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            ) as session:
                yield session, _NOWHERE


class BridgeRequests:
    """Sends requests, each over the connection that its address needs."""

    def __init__(self, connections: BridgeConnections, limits: ClientLimits) -> None:
        self._connections = connections
        self._limits = limits

    async def send(
        self,
        address: BridgeAddress,
        method: str,
        path: str,
        seconds: float,
        limit_bytes: int = SMALL_BYTES,
        *,
        body: BaseModel | bytes | None = None,
    ) -> bytes:
        """Sends a request, its `body` as JSON or as it is; returns at most `limit_bytes` of answer.

        Raises BridgeRefused with the error of the bridge, BridgeUnreachable for any other end.
        """
        headers, data = _encoded(body)
        if path != "/health":
            headers |= authorization(address)
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=self._limits.connect_seconds)
        try:
            async with (
                self._connections.open_session(address.endpoint) as (session, base),
                session.request(
                    method,
                    base + path,
                    data=io.BytesIO(data) if data is not None else None,
                    headers=headers,
                    allow_redirects=False,
                    timeout=timeout,
                ) as response,
            ):
                content = await read_bounded(response.content.iter_any(), limit_bytes)
                if not 200 <= response.status < 300:  # noqa: PLR2004
                    refused = refusal(response.status, content)
                    if refused.error.code == ErrorCode.TOO_LARGE:
                        raise AnswerTooLarge(f"{method} {path}: {refused.error.message}")
                    raise refused
                return content
        except BodyTooLargeError as error:
            raise AnswerTooLarge(f"{method} {path}: {error}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BridgeUnreachable(f"{method} {path}: {type(error).__name__}: {error}") from error


def _encoded(body: BaseModel | bytes | None) -> tuple[dict[str, str], bytes | None]:
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    if isinstance(body, BaseModel):
        headers["Content-Type"] = "application/json"
        # Fields that nobody has set are left out: an older bridge refuses those it does not know.
        return headers, body.model_dump_json(exclude_unset=True).encode()
    if body is not None:
        headers["Content-Type"] = "application/octet-stream"
    return headers, body


def authorization(address: BridgeAddress) -> dict[str, str]:
    """Returns the header with the agent's token."""
    return {"Authorization": f"Bearer {address.token.get_secret_value()}"}


def read(model: type[_Answer], body: bytes) -> _Answer:
    """Reads the body as an answer of the contract; raises BridgeUnreachable when it is none."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        text = f"not a {model.__name__}: {first['type']} at {first['loc']}"
        raise BridgeUnreachable(text[:300]) from error


def refusal(status: int, body: bytes) -> BridgeRefused:
    """Reads an error of the contract; any other answer is `internal`."""
    for shape in (_Wrapped, WireError):
        try:
            parsed = shape.model_validate_json(body)
        except ValidationError:
            continue
        return BridgeRefused(status, parsed.error if isinstance(parsed, _Wrapped) else parsed)
    message = f"the bridge answered with status {status}"
    return BridgeRefused(status, WireError(code=ErrorCode.INTERNAL, message=message))


class _Wrapped(BaseModel):
    error: WireError
