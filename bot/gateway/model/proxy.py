"""The model's door: chat completions and the list of models, with the key added on the way."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import reduce

import aiohttp
from aiohttp import web

from bot.agents.access.billing import Billing, BudgetUsed, CallRequest, NotServed, Reservation
from bot.config import Settings
from bot.domain.budget import NANO, Price
from bot.domain.secrets import ModelKey
from bot.errors import StoreUnavailable
from bot.files import BodyTooLargeError, read_bounded
from bot.gateway.auth import GatewayAuth, ambiguity_of
from bot.gateway.listeners import AGENT
from bot.gateway.model.catalogue import Catalogue
from bot.gateway.model.completion import CallRecord, complete
from bot.gateway.model.rate_limit import CallRate
from bot.gateway.model.request import ChatCall, read_chat
from bot.gateway.upstream import (
    MAX_BODY_BYTES,
    TIMEOUT,
    RequestRefusedError,
    UpstreamError,
    forward_request,
    forwarded_headers,
    problem,
)

PREFIX = "/model/v1"
_BODY_SECONDS = 60.0
_STORE_AGAIN_SECONDS = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """What agents may ask of the model."""

    allowed: tuple[str, ...]
    max_tokens: int
    calls_per_minute: int

    @classmethod
    def of(cls, settings: Settings) -> "ProxyLimits":
        """The limits that the settings name."""
        return cls(settings.model_allow, settings.model_max_tokens, settings.model_calls_per_minute)


class ModelProxy:
    """Forwards the two calls an agent may make to the provider; everything else is 404.

    `key_of` gives the key for an agent's calls, asked at each of them. `billing` is asked for
    leave before each call, and told how it ended; without one nothing is counted.
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
        self.billing: Billing | None = None

    def forget(self, agent_id: str) -> None:
        """The agent has ended."""
        self._rate.forget(agent_id)

    def routes(self) -> list[web.RouteDef]:
        """The routes of this door."""
        return [
            web.post(f"{PREFIX}/chat/completions", self._chat),
            web.get(f"{PREFIX}/models", self._models, allow_head=False),
        ]

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        try:
            agent_id = self._identify(request)
            call = read_chat(await _body(request), self._limits.allowed)
        except RequestRefusedError as refused:
            return refused.response()
        key = await self._key_of(agent_id)
        try:
            leave = await self._leave(agent_id, call, key)
        except BudgetUsed as used:
            _log.info("agent %s: %s", agent_id, used)
            return _no_money(used)
        except NotServed:
            return problem(401, _NOT_VALID)
        except StoreUnavailable as error:
            _log.warning("agent %s: no model call without an entry: %s", agent_id, error)
            text = "Threadsmith cannot enter this call at the moment."
            return problem(503, text, retry_after_seconds=_STORE_AGAIN_SECONDS)
        return await self._call(request, agent_id, call, leave, key)

    async def _call(
        self, request: web.Request, agent_id: str, call: ChatCall, leave: Reservation, key: ModelKey
    ) -> web.StreamResponse:
        entry = CallRecord(self.billing, leave)
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
                data=call.body(leave.max_tokens),
                headers=headers,
                allow_redirects=False,
                timeout=TIMEOUT,
            )
            return await complete(request, upstream, entry, value)
        except UpstreamError as error:
            _log.warning("agent %s: the model provider did not answer: %s", agent_id, error)
            return problem(502, "The model provider could not be reached.")
        finally:
            await entry.close()

    def _identify(self, request: web.Request) -> str:
        """Who asks; raises RequestRefusedError."""
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

    async def _leave(self, agent_id: str, call: ChatCall, key: ModelKey) -> Reservation:
        listings = [await self._catalogue.listing(model) for model in call.models]
        prices = [listing.price for listing in listings]
        contexts = [one.context_tokens for one in listings if one.context_tokens]
        answers = [one.answer_tokens for one in listings if one.answer_tokens]
        most = min([self._limits.max_tokens, *answers])
        limit = call.limit(most, min(contexts, default=None))
        wish = CallRequest(call.model, call.prompt_tokens, limit, _dearest(prices), key.scope)
        if self.billing is None:
            return Reservation.unmetered(agent_id, wish)
        return await self.billing.begin(agent_id, wish)

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


_NOT_VALID = "This agent's token is not valid here, or the agent has ended."


def _dearest(prices: list[Price | None]) -> Price | None:
    known = [price for price in prices if price is not None]
    return reduce(Price.at_least, known) if len(known) == len(prices) else None


async def _body(request: web.Request) -> bytes:
    if "Content-Encoding" in request.headers:
        raise RequestRefusedError(415, "A compressed body is not read here.")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise RequestRefusedError(413, _TOO_LARGE)
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await read_bounded(request.content.iter_any(), MAX_BODY_BYTES)
    except BodyTooLargeError:
        raise RequestRefusedError(413, _TOO_LARGE) from None
    except TimeoutError:
        raise RequestRefusedError(408, "The request did not arrive in time.") from None


_TOO_LARGE = "The request is larger than 20 MiB."


def _no_money(used: BudgetUsed) -> web.Response:
    refused = used.refused
    return problem(
        402,
        used.user_text,
        reason="budget_used",
        scope=refused.scope.value,
        used_usd=f"{refused.used_nano / NANO:.6f}",
        limit_usd=f"{refused.limit_nano / NANO:.6f}",
    )
