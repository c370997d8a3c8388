"""One request to a bridge and its answer, both bounded in size and time."""

import io
from dataclasses import dataclass
from typing import TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from bot.agents.deadlines import (
    CHANGE_WAIT_SECONDS,
    INTERRUPT_WAIT_SECONDS,
    PUSH_WAIT_SECONDS,
    READ_WAIT_SECONDS,
)
from bot.bridge_client.lines import BridgeConnections
from bot.domain.container import (
    BridgeAddress,
)
from bot.errors import AnswerTooLarge, BridgeRefused, BridgeUnreachable
from bot.files import BodyTooLargeError, read_bounded
from bridge.protocol import ErrorCode, WireError

SMALL_BYTES = 256 * 1024

_Answer = TypeVar("_Answer", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class ClientLimits:
    """How long the bot waits for a bridge, and how much nonsense it takes from one."""

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


class BridgeRequests:
    """Sends requests, each over the line that its address asks for."""

    def __init__(self, lines: BridgeConnections, limits: ClientLimits) -> None:
        self._lines = lines
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
        """The answer's body, at most `limit_bytes`; `body` goes as JSON, or as it is.

        Raises BridgeRefused with the error of the bridge, BridgeUnreachable for any other end.
        """
        # What nobody has set is not said: an older bridge refuses the fields that it does not know.
        if isinstance(body, BaseModel):
            data: bytes | None = body.model_dump_json(exclude_unset=True).encode()
        else:
            data = body
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if path != "/health":
            headers |= authorization(address)
        if body is not None:
            is_json = isinstance(body, BaseModel)
            headers["Content-Type"] = "application/json" if is_json else "application/octet-stream"
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=self._limits.connect_seconds)
        try:
            async with (
                self._lines.to(address.endpoint) as (session, base),
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
                    raise refusal(response.status, content)
                return content
        except BodyTooLargeError as error:
            raise AnswerTooLarge(f"{method} {path}: {error}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise BridgeUnreachable(f"{method} {path}: {type(error).__name__}: {error}") from error


def authorization(address: BridgeAddress) -> dict[str, str]:
    """The header that shows the agent's token."""
    return {"Authorization": f"Bearer {address.token.get_secret_value()}"}


def read(model: type[_Answer], body: bytes) -> _Answer:
    """The body as an answer of the contract; raises BridgeUnreachable when it is none."""
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        text = f"not a {model.__name__}: {first['type']} at {first['loc']}"
        raise BridgeUnreachable(text[:300]) from error


def refusal(status: int, body: bytes) -> BridgeRefused:
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
