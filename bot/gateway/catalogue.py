"""Which models the provider serves: whether they can call tools, what they cost and hold."""

import asyncio
import difflib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

import aiohttp
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from bot.domain.budget import Price
from bot.domain.quoting import code
from bot.errors import ModelUnusable
from bot.gateway.relay import BodyTooLargeError, read_bounded

CACHE_SECONDS = 600.0
# Prices hold longer, so that no call waits for a list, nor all of them for one that is late.
PRICE_SECONDS = 3_600.0
_AGAIN_SECONDS = 60.0
_TIMEOUT = aiohttp.ClientTimeout(total=20, sock_connect=10)
_MAX_LIST_BYTES = 16 * 1024 * 1024
_NEAR_MATCHES = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listing:
    """What the provider says about a model; None is what it does not say."""

    parameters: frozenset[str] | None = None
    price: Price | None = None
    context_tokens: int | None = None
    answer_tokens: int | None = None


_Models = dict[str, Listing]


class _Listed(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: str
    supported_parameters: list[str] | None = None
    pricing: object = None
    context_length: object = None
    top_provider: object = None


class _List(BaseModel):
    model_config = ConfigDict(extra="ignore")
    data: list[_Listed]


class Catalogue:
    """The provider's list of models, asked for at most once in ten minutes.

    `own_prices` count in place of what the provider lists.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        key: SecretStr,
        clock: Callable[[], float] = time.monotonic,
        own_prices: Mapping[str, Price] | None = None,
    ) -> None:
        self._session = session
        self._base_url = base_url
        self._key = key
        self._clock = clock
        self._own_prices = own_prices or {}
        self._lock = asyncio.Lock()
        self._cached: tuple[float, _Models | None] | None = None
        self._failed_at: float | None = None

    async def check(self, model: str) -> None:
        """Raise ModelUnusable when the model is known not to work with tools.

        A provider that lists no models, as many compatible servers do, is believed to have it.
        """
        models = await self._models()
        if models is None or model.startswith("@"):  # a preset is the account's own, never listed
            return
        listing = _found(models, model)
        if listing is None:
            near = difflib.get_close_matches(model, list(models), _NEAR_MATCHES, 0.4)
            hint = " Did you mean " + " or ".join(code(name) for name in near) + "?"
            raise ModelUnusable(
                f"The model provider knows no model {code(model, 200)}.{hint if near else ''}"
            )
        if listing.parameters is not None and "tools" not in listing.parameters:
            raise ModelUnusable(
                f"`{model}` cannot call tools, so it cannot work on code. Choose another model."
            )

    async def listing(self, model: str) -> Listing:
        """What is known about a model; nothing of it where the provider does not answer."""
        now = self._clock()
        old = self._cached is None or now - self._cached[0] >= PRICE_SECONDS
        tried = self._failed_at is not None and now - self._failed_at < _AGAIN_SECONDS
        if old and not tried:
            try:
                await self._models()
                self._failed_at = None
            except ModelUnusable as error:
                self._failed_at = self._clock()
                _log.warning("prices are not known now: %s", error)
        models = self._cached[1] if self._cached else None
        listing = _found(models or {}, model) or Listing()
        own = self._own_prices.get(model)
        return replace(listing, price=own) if own else listing

    async def _models(self) -> _Models | None:
        async with self._lock:
            now = self._clock()
            if self._cached is None or now - self._cached[0] >= CACHE_SECONDS:
                self._cached = (now, await self._ask())
            return self._cached[1]

    async def _ask(self) -> _Models | None:
        key = self._key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            async with self._session.get(
                f"{self._base_url}/models",
                headers=headers,
                allow_redirects=False,
                timeout=_TIMEOUT,
            ) as answer:
                if answer.status in (401, 403):
                    raise ModelUnusable(
                        "The model key was refused. Ask an admin to check OPENROUTER_API_KEY.",
                        f"{self._base_url}/models answered {answer.status}",
                    )
                if answer.status != 200:  # noqa: PLR2004
                    _log.info("the provider lists no models: status %d", answer.status)
                    return None
                return _read(await read_bounded(answer, _MAX_LIST_BYTES))
        except BodyTooLargeError:
            _log.warning("the provider's list of models is too large to read")
            return None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ModelUnusable(
                "The model provider does not answer. Try again in a few minutes, or ask an admin "
                "to check OPENROUTER_BASE_URL.",
                f"{self._base_url}/models: {type(error).__name__}: {error}",
            ) from error


def _read(body: bytes) -> _Models | None:
    try:
        found = _List.model_validate_json(body)
    except ValidationError:
        _log.info("the provider's list of models has another shape")
        return None
    return {item.id: _listing(item) for item in found.data} or None


def _found(models: _Models, model: str) -> Listing | None:
    # OpenRouter's `:nitro`, `:floor` and `:online` change the routing; the list has the base.
    return models.get(model) or models.get(model.rpartition(":")[0])


def _listing(item: _Listed) -> Listing:
    parameters = item.supported_parameters
    provider = item.top_provider if isinstance(item.top_provider, dict) else {}
    return Listing(
        parameters=None if parameters is None else frozenset(parameters),
        price=_price(item.pricing) if isinstance(item.pricing, dict) else None,
        context_tokens=_count(item.context_length),
        answer_tokens=_count(provider.get("max_completion_tokens")),
    )


def _price(pricing: Mapping[str, object]) -> Price | None:
    """The price of a token, at its dearest; None where one is missing or depends on the routing."""
    prompt, completion = _usd(pricing.get("prompt")), _usd(pricing.get("completion"))
    if prompt is None or completion is None:
        return None
    written = _usd(pricing.get("input_cache_write")) or Decimal(0)
    reasoning = _usd(pricing.get("internal_reasoning")) or Decimal(0)
    request = _usd(pricing.get("request")) or Decimal(0)
    return Price(max(prompt, written), max(completion, reasoning), request)


def _usd(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        usd = Decimal(str(value))
    except InvalidOperation:
        return None
    return usd if usd.is_finite() and 0 <= usd <= 1_000 else None  # noqa: PLR2004


def _count(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if value > 0 else None
