"""Serves model calls and the list of models: adds the key, meters the answer, records its cost.

An answer is passed on piece by piece as it arrives. Its cost is recorded exactly once, before the
reader sees the end of the answer.
"""

import asyncio
import io
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import reduce

import aiohttp
from aiohttp import web

from bot.agents.access.billing import (
    Billing,
    BudgetUsed,
    CallRequest,
    CallResult,
    NotServed,
    Reservation,
)
from bot.config import Settings
from bot.domain.bounded_json import OFF_LOOP_BYTES
from bot.domain.budget import NANO, Price
from bot.domain.secrets import ModelKey
from bot.errors import StoreUnavailable
from bot.files import BodyTooLargeError, read_bounded
from bot.gateway.auth import GatewayAuth, ambiguity_of
from bot.gateway.http_connections import AGENT
from bot.gateway.model.catalogue import Catalogue
from bot.gateway.model.rate_limit import CallRate
from bot.gateway.model.request import ChatCall, read_chat
from bot.gateway.model.usage import UsageReader, usage_in
from bot.gateway.upstream import (
    TIMEOUT,
    RequestRefusedError,
    UpstreamError,
    forward_request,
    forwarded_headers,
    problem,
)

PREFIX = "/model/v1"
# Models with the largest windows take some megabytes of text.
MAX_CHAT_BYTES = 8 * 1024 * 1024
_BODY_SECONDS = 60.0
_READING_SECONDS = 10.0
# Of large bodies, so that reading those of one agent leaves threads for everything else.
_READ_AT_ONCE = 2
_AGAIN_SECONDS = 5

_PASSED_HEADERS = ("Content-Type", "Cache-Control", "Retry-After", "X-Generation-Id")
_MAX_ERROR_BYTES = 64 * 1024
_MAX_COMPLETION_BYTES = 32 * 1024 * 1024
_NOT_VALID = "This agent's token is not valid here, or the agent has ended."
_TOO_LARGE = "The request is larger than 8 MiB."

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """Bounds what agents may ask of the model."""

    allowed: tuple[str, ...]
    max_tokens: int
    calls_per_minute: int

    @classmethod
    def of(cls, settings: Settings) -> "ProxyLimits":
        """Reads the limits of the settings."""
        return cls(settings.model_allow, settings.model_max_tokens, settings.model_calls_per_minute)


class ModelProxy:
    """Forwards the two calls an agent may make to the provider; everything else is 404.

    `key_of` gives the key for an agent's calls, and is asked at each of them. `billing` reserves
    budget before a call and records its cost after it; without `billing` nothing is counted.
    """

    def __init__(
        self,
        auth: GatewayAuth,
        catalogue: Catalogue,
        session: aiohttp.ClientSession,
        base_url: str,
        key_of: Callable[[str], Awaitable[ModelKey]],
        limits: ProxyLimits,
    ) -> None:
        self._auth = auth
        self._catalogue = catalogue
        self._session = session
        self._base_url = base_url
        self._key_of = key_of
        self._limits = limits
        self._rate = CallRate(limits.calls_per_minute)
        self._reading = asyncio.Semaphore(_READ_AT_ONCE)
        self.billing: Billing | None = None

    def forget_agent(self, agent_id: str) -> None:
        """Drops the counts of an agent that has ended."""
        self._rate.forget_agent(agent_id)

    def routes(self) -> list[web.RouteDef]:
        """Returns the routes of model calls."""
        return [
            web.post(f"{PREFIX}/chat/completions", self._chat),
            web.get(f"{PREFIX}/models", self._models, allow_head=False),
        ]

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        try:
            agent_id = self._identify(request)
            call = await self._read(await _body(request))
        except RequestRefusedError as refused:
            return refused.response()
        key = await self._key_of(agent_id)
        try:
            reservation = await self._reserve(agent_id, call, key)
        except BudgetUsed as used:
            _log.info("agent %s: %s", agent_id, used)
            return _budget_used(used)
        except NotServed:
            return problem(401, _NOT_VALID)
        except StoreUnavailable as error:
            _log.warning("agent %s: no model call without a record: %s", agent_id, error)
            text = "Threadsmith cannot enter this call at the moment."
            return problem(503, text, retry_after_seconds=_AGAIN_SECONDS)
        return await self._call(request, agent_id, call, reservation, key)

    async def _read(self, body: bytes) -> ChatCall:
        """Reads and checks a body, a large one in a thread; raises RequestRefusedError."""
        if len(body) <= OFF_LOOP_BYTES:
            return read_chat(body, self._limits.allowed)
        try:
            async with asyncio.timeout(_READING_SECONDS), self._reading:
                return await asyncio.to_thread(read_chat, body, self._limits.allowed)
        except TimeoutError:
            text = "Too many large requests arrive at once."
            raise RequestRefusedError(503, text, retry_after_seconds=_AGAIN_SECONDS) from None

    async def _call(
        self,
        request: web.Request,
        agent_id: str,
        call: ChatCall,
        reservation: Reservation,
        key: ModelKey,
    ) -> web.StreamResponse:
        record = _PendingRecord(self.billing, reservation)
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream" if call.streams else "application/json",
            # What is compressed cannot be metered as it passes.
            "Accept-Encoding": "identity",
            "User-Agent": "threadsmith",
        }
        try:
            if value := key.value.get_secret_value():
                headers["Authorization"] = f"Bearer {value}"
            upstream = self._session.post(
                f"{self._base_url}/chat/completions",
                data=io.BytesIO(await asyncio.to_thread(call.body, reservation.max_tokens)),
                headers=headers,
                allow_redirects=False,
                timeout=TIMEOUT,
            )
            return await _forward_answer(request, upstream, record, value)
        except UpstreamError as error:
            _log.warning("agent %s: the model provider did not answer: %s", agent_id, error)
            return problem(502, "The model provider could not be reached.")
        finally:
            await record.close()

    def _identify(self, request: web.Request) -> str:
        """Returns the agent that sent the request; raises RequestRefusedError."""
        if reason := ambiguity_of(request):
            raise RequestRefusedError(400, reason)
        identified = self._auth.identify_agent(
            request.headers.get("Authorization", ""), request.app[AGENT]
        )
        if identified is None:
            raise RequestRefusedError(401, _NOT_VALID)
        if wait := self._rate.wait_seconds(identified[0]):
            text = "This agent asks the model too often (MODEL_CALLS_PER_MINUTE)."
            raise RequestRefusedError(429, text, retry_after_seconds=wait)
        return identified[0]

    async def _reserve(self, agent_id: str, call: ChatCall, key: ModelKey) -> Reservation:
        listings = [await self._catalogue.listing_of(model) for model in call.models]
        prices = [listing.price for listing in listings]
        contexts = [entry.context_tokens for entry in listings if entry.context_tokens]
        answers = [entry.answer_tokens for entry in listings if entry.answer_tokens]
        max_tokens = min([self._limits.max_tokens, *answers])
        limit = call.limit(max_tokens, min(contexts, default=None))
        call_request = CallRequest(
            call.model, call.prompt_tokens, limit, _highest(prices), key.scope
        )
        if self.billing is None:
            return Reservation.unmetered(agent_id, call_request)
        return await self.billing.begin(agent_id, call_request)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        try:
            agent_id = self._identify(request)
        except RequestRefusedError as refused:
            return refused.response()
        headers = forwarded_headers(request.headers)
        headers["User-Agent"] = "threadsmith"
        if key := (await self._key_of(agent_id)).value.get_secret_value():
            headers["Authorization"] = f"Bearer {key}"
        try:
            return await forward_request(
                request, self._session, self._base_url + "/models", headers
            )
        except BodyTooLargeError:
            return problem(413, "The request is larger than 20 MiB.")
        except UpstreamError as error:
            _log.warning("agent %s: the model provider did not answer: %s", agent_id, error)
            return problem(502, "The model provider could not be reached.")


class _PendingRecord:
    """Records one call at its end; a result that is not known by then counts at its worst case."""

    def __init__(self, billing: Billing | None, reservation: Reservation) -> None:
        self._billing = billing
        self._reservation = reservation
        self._closed = False
        self.result = CallResult()

    async def close(self) -> None:
        """Records the result; only the first time counts."""
        if not self._closed and self._billing is not None:
            self._closed = True
            await self._billing.settle(self._reservation, self.result)


async def _forward_answer(
    request: web.Request,
    asking: Awaitable[aiohttp.ClientResponse],
    record: _PendingRecord,
    key: str,
) -> web.StreamResponse:
    """Asks the provider and passes its answer on, hiding `key` in the text of an error.

    Raises UpstreamError, only while nothing has been answered yet.
    """
    try:
        upstream = await asking
    except aiohttp.ClientConnectorError as error:
        record.result = CallResult(refused=True)
        raise UpstreamError(f"{type(error).__name__}: {error}") from error
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UpstreamError(f"{type(error).__name__}: {error}") from error
    async with upstream:
        if upstream.status != 200:  # noqa: PLR2004
            record.result = CallResult(refused=True)
            return await _refusal(upstream, key)
        if upstream.content_type == "text/event-stream":
            return await _stream(request, upstream, record)
        return await _whole(upstream, record)


async def _stream(
    request: web.Request, upstream: aiohttp.ClientResponse, record: _PendingRecord
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
            await record.close()
            if request.transport is not None:
                # The reader must not take the part for the whole.
                request.transport.abort()
            return response
        if piece is None:
            break
        reader.feed(piece)
        seen += len(piece)
        record.result = CallResult(usage=reader.usage)
        if reader.done:
            record.result = CallResult(usage=reader.usage, seen_bytes=seen)
            await record.close()
        await response.write(piece)
    record.result = CallResult(usage=reader.usage, seen_bytes=seen)
    await record.close()
    await response.write_eof()
    return response


async def _whole(upstream: aiohttp.ClientResponse, record: _PendingRecord) -> web.Response:
    try:
        body = await read_bounded(upstream.content.iter_any(), _MAX_COMPLETION_BYTES)
    except (aiohttp.ClientError, TimeoutError, BodyTooLargeError) as error:
        raise UpstreamError(f"{type(error).__name__}: {error}") from error
    record.result = CallResult(usage=await asyncio.to_thread(usage_in, body), seen_bytes=len(body))
    await record.close()
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


def _highest(prices: list[Price | None]) -> Price | None:
    known = [price for price in prices if price is not None]
    return reduce(Price.at_least, known) if len(known) == len(prices) else None


async def _body(request: web.Request) -> bytes:
    if "Content-Encoding" in request.headers:
        raise RequestRefusedError(415, "A compressed body is not read here.")
    if (request.content_length or 0) > MAX_CHAT_BYTES:
        raise RequestRefusedError(413, _TOO_LARGE)
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await read_bounded(request.content.iter_any(), MAX_CHAT_BYTES)
    except BodyTooLargeError:
        raise RequestRefusedError(413, _TOO_LARGE) from None
    except TimeoutError:
        raise RequestRefusedError(408, "The request did not arrive in time.") from None


def _budget_used(used: BudgetUsed) -> web.Response:
    refused = used.refused
    return problem(
        402,
        used.user_text,
        reason="budget_used",
        scope=refused.scope.value,
        used_usd=f"{refused.used_nano / NANO:.6f}",
        limit_usd=f"{refused.limit_nano / NANO:.6f}",
    )
