"""Knows the provider's models: what each can do, costs and holds, and which are on offer.

It reads the provider's list, trusting nothing of its shape, and the prices of MODEL_PRICES.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

import aiohttp
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from bot.config import MODEL_PRICE_PATTERN, Settings
from bot.domain.bounded_json import CostlyJsonError, check_json
from bot.domain.budget import Price
from bot.domain.model_offer import ModelOffer
from bot.domain.near_names import near_names
from bot.domain.quoting import code
from bot.errors import ModelUnusable, UserError
from bot.files import BodyTooLargeError, read_bounded
from bot.shared_answers import SharedAnswers
from bridge.protocol import MAX_MODEL_CHARS

CACHE_SECONDS = 600.0
# Prices hold longer, so that no call waits for a list, nor all of them for one that is late.
PRICE_SECONDS = 3_600.0
_AGAIN_SECONDS = 60.0
_TIMEOUT = aiohttp.ClientTimeout(total=20, sock_connect=10)
_MAX_LIST_BYTES = 16 * 1024 * 1024
_MOST_VALUES = 500_000  # hundreds for each of a thousand models
_SILENT = "The model provider shows no list of models at the moment. Try again in a minute."

_MAX_TOKENS = 2**40
_PER_MILLION = Decimal(1_000_000)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listing:
    """Holds what the provider lists of a model; a field is None where it lists nothing.

    `price` is the highest price of a token; `prompt_usd` and `completion_usd` are the prices that
    people see. A hidden model can be called by its name, and is not offered.
    """

    parameters: frozenset[str] | None = None
    price: Price | None = None
    prompt_usd: Decimal | None = None
    completion_usd: Decimal | None = None
    context_tokens: int | None = None
    answer_tokens: int | None = None
    hidden: bool = False

    @property
    def takes_tools(self) -> bool | None:
        """Returns whether the model can call tools; None where the provider does not say."""
        return None if self.parameters is None else "tools" in self.parameters


Models = dict[str, Listing]


class Catalogue:
    """Asks for the provider's list of models, at most once in ten minutes.

    `own_prices` replace the prices that the provider lists.
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
        self._asked: SharedAnswers[str, Models | None] = SharedAnswers()
        self._cached: tuple[float, Models | None] | None = None
        self._failed_at: float | None = None

    async def check_model(self, model: str) -> None:
        """Raises ModelUnusable when the model is known not to work with tools.

        A provider that lists no models, as many compatible servers do, passes for having it.
        """
        models = await self._models()
        if models is None or model.startswith("@"):  # a preset is the account's own, never listed
            return
        listing = _listing_in(models, model)
        if listing is None:
            near = await asyncio.to_thread(near_names, model, models, 0.4)
            hint = " Did you mean " + " or ".join(code(name) for name in near) + "?"
            raise ModelUnusable(
                f"The model provider knows no model {code(model, 200)}.{hint if near else ''}"
            )
        if listing.takes_tools is False:
            raise ModelUnusable(
                f"`{model}` cannot call tools, so it cannot work on code. Choose another model."
            )

    async def listing_of(self, model: str) -> Listing:
        """Returns what is known of a model: nothing where the provider does not answer."""
        now = self._clock()
        is_old = self._cached is None or now - self._cached[0] >= PRICE_SECONDS
        tried_lately = self._failed_at is not None and now - self._failed_at < _AGAIN_SECONDS
        if is_old and not tried_lately:
            try:
                await self._models()
                self._failed_at = None
            except ModelUnusable as error:
                self._failed_at = self._clock()
                _log.warning("prices are not known now: %s", error)
        models = self._cached[1] if self._cached else None
        listing = _listing_in(models or {}, model) or Listing()
        own = self._own_prices.get(model)
        return replace(listing, price=own) if own else listing

    async def offers(self) -> Sequence[ModelOffer]:
        """Returns every model on offer; raises UserError when the provider shows no list.

        Of a server that lists nothing, the models that `own_prices` name are on offer.
        """
        try:
            models = await self._models()
        except UserError as error:
            if not self._own_prices:
                raise
            _log.info("the models are those of MODEL_PRICES: %s", error)
            models = None
        if models is None and not self._own_prices:
            raise UserError(_SILENT)
        return offers_of(models or {}, self._own_prices)

    async def _models(self) -> Models | None:
        now = self._clock()
        if self._cached is None or now - self._cached[0] >= _cache_seconds(self._cached[1]):
            return await self._asked.get("models", self._refresh)
        return self._cached[1]

    async def _refresh(self) -> Models | None:
        now = self._clock()
        self._cached = (now, await self._fetch())
        return self._cached[1]

    async def _fetch(self) -> Models | None:
        key = self._key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            async with self._session.get(
                f"{self._base_url}/models",
                headers=headers,
                allow_redirects=False,
                timeout=_TIMEOUT,
            ) as response:
                if response.status in (401, 403):
                    raise ModelUnusable(
                        "The model key was refused. Ask an admin to check OPENROUTER_API_KEY.",
                        f"{self._base_url}/models answered {response.status}",
                    )
                if response.status != 200:  # noqa: PLR2004
                    _log.info("the provider lists no models: status %d", response.status)
                    return None
                body = await read_bounded(response.content.iter_any(), _MAX_LIST_BYTES)
                return await asyncio.to_thread(read_models, body)
        except BodyTooLargeError:
            _log.warning("the provider's list of models is too large to read")
            return None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ModelUnusable(
                "The model provider does not answer. Try again in a few minutes, or ask an admin "
                "to check OPENROUTER_BASE_URL.",
                f"{self._base_url}/models: {type(error).__name__}: {error}",
            ) from error


def _cache_seconds(models: Models | None) -> float:
    # A server without a list may only be starting.
    return _AGAIN_SECONDS if models is None else CACHE_SECONDS


def own_prices(settings: Settings) -> Mapping[str, Price]:
    """Reads the prices in MODEL_PRICES, by the model's name."""
    matches = (MODEL_PRICE_PATTERN.fullmatch(word) for word in settings.model_prices)
    return {
        match[1]: Price(Decimal(match[2]) / _PER_MILLION, Decimal(match[3]) / _PER_MILLION)
        for match in matches
        if match
    }


def offers_of(
    models: Mapping[str, Listing], own_prices: Mapping[str, Price]
) -> Sequence[ModelOffer]:
    """Returns every model that is listed and not hidden, and those that only `own_prices` name.

    `own_prices` replace the prices that the provider lists.
    """
    offers = {name: _offer(name, listing) for name, listing in models.items() if not listing.hidden}
    for name, price in own_prices.items():
        offers[name] = replace(
            offers.get(name, ModelOffer(name)),
            prompt_usd=_of_million(price.prompt_usd),
            completion_usd=_of_million(price.completion_usd),
        )
    return list(offers.values())


def _offer(name: str, listing: Listing) -> ModelOffer:
    return ModelOffer(
        id=name,
        context_tokens=listing.context_tokens,
        prompt_usd=_of_million(listing.prompt_usd),
        completion_usd=_of_million(listing.completion_usd),
        takes_tools=listing.takes_tools,
    )


def _of_million(usd: Decimal | None) -> float | None:
    return None if usd is None else float(usd * _PER_MILLION)


class _ListedModel(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: str
    supported_parameters: object = None
    pricing: object = None
    context_length: object = None
    max_model_len: object = None  # the name that vLLM uses
    top_provider: object = None
    hidden: object = None


class _List(BaseModel):
    model_config = ConfigDict(extra="ignore")
    data: list[_ListedModel]


def read_models(body: bytes) -> Models | None:
    """Reads a provider's list; None when it has another shape, or names no model."""
    try:
        check_json(body, _MOST_VALUES)
        models = _List.model_validate_json(body)
    except (CostlyJsonError, ValidationError):
        _log.info("the provider's list of models has another shape")
        return None
    return {
        item.id: _listing(item) for item in models.data if 0 < len(item.id) <= MAX_MODEL_CHARS
    } or None


def _listing_in(models: Mapping[str, Listing], model: str) -> Listing | None:
    # OpenRouter's `:nitro`, `:floor` and `:online` change the routing; the list has the base.
    return models.get(model) or models.get(model.rpartition(":")[0])


def _listing(item: _ListedModel) -> Listing:
    parameters = item.supported_parameters
    provider = item.top_provider if isinstance(item.top_provider, dict) else {}
    pricing = item.pricing if isinstance(item.pricing, dict) else {}
    return Listing(
        parameters=(
            frozenset(name for name in parameters if isinstance(name, str))
            if isinstance(parameters, list)
            else None
        ),
        price=_price(pricing),
        prompt_usd=_usd(pricing.get("prompt")),
        completion_usd=_usd(pricing.get("completion")),
        context_tokens=_count(item.context_length) or _count(item.max_model_len),
        answer_tokens=_count(provider.get("max_completion_tokens")),
        hidden=item.hidden is True,
    )


def _price(pricing: Mapping[str, object]) -> Price | None:
    """Returns the highest price of a token; None where it is missing or depends on the routing."""
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
    return value if 0 < value < _MAX_TOKENS else None
