"""Reads the provider's list of models for people: prices, context, tool support."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import aiohttp
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from bot.domain.budget import Price
from bot.domain.offers import ModelOffer
from bot.errors import UserError
from bot.gateway.relay import BodyTooLargeError, read_bounded

CACHE_SECONDS = 600.0
_TIMEOUT = aiohttp.ClientTimeout(total=20, sock_connect=10)
_MAX_LIST_BYTES = 16 * 1024 * 1024
_MAX_ID_CHARS = 200
_PER_MILLION = 1e6
_SILENT = "The model provider shows no list of models at the moment. Try again in a minute."


_log = logging.getLogger(__name__)


class _Listed(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: str
    context_length: object = None
    max_model_len: object = None
    pricing: object = None
    supported_parameters: object = None


class _List(BaseModel):
    model_config = ConfigDict(extra="ignore")
    data: list[_Listed]


class Offers:
    """The list, asked for at most once in ten minutes.

    `own_prices` count in place of what the provider lists; a server that lists nothing has the
    models that they name.
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
        self._url = f"{base_url}/models"
        self._key = key
        self._clock = clock
        self._own_prices = own_prices or {}
        self._lock = asyncio.Lock()
        self._kept: tuple[float, Sequence[ModelOffer]] | None = None

    async def all(self) -> Sequence[ModelOffer]:
        """Every model that the provider lists; raises UserError when it shows no list."""
        async with self._lock:
            now = self._clock()
            if self._kept is None or now - self._kept[0] >= CACHE_SECONDS:
                self._kept = (now, self._priced(await self._listed()))
            return self._kept[1]

    async def _listed(self) -> Sequence[ModelOffer]:
        try:
            return read_offers(await self._ask())
        except UserError as error:
            if not self._own_prices:
                raise
            _log.info("the models are those of MODEL_PRICES: %s", error)
            return []

    def _priced(self, listed: Sequence[ModelOffer]) -> Sequence[ModelOffer]:
        offers = {offer.id: offer for offer in listed}
        for name, price in self._own_prices.items():
            offers[name] = replace(
                offers.get(name, ModelOffer(name)),
                prompt_usd=float(price.prompt_usd) * _PER_MILLION,
                completion_usd=float(price.completion_usd) * _PER_MILLION,
            )
        return list(offers.values())

    async def _ask(self) -> bytes:
        key = self._key.get_secret_value()
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            async with self._session.get(
                self._url, headers=headers, allow_redirects=False, timeout=_TIMEOUT
            ) as answer:
                if answer.status != 200:  # noqa: PLR2004
                    raise UserError(_SILENT, f"{self._url} answered {answer.status}")
                return await read_bounded(answer, _MAX_LIST_BYTES)
        except (aiohttp.ClientError, TimeoutError, BodyTooLargeError) as error:
            raise UserError(_SILENT, f"{self._url}: {type(error).__name__}: {error}") from error


def read_offers(body: bytes) -> list[ModelOffer]:
    """The models of a list; raises UserError when the list has another shape."""
    try:
        listed = _List.model_validate_json(body).data
    except ValidationError as error:
        raise UserError(_SILENT, "the provider's list of models has another shape") from error
    return [_offer(item) for item in listed if 0 < len(item.id) <= _MAX_ID_CHARS]


def _offer(item: _Listed) -> ModelOffer:
    pricing = item.pricing if isinstance(item.pricing, dict) else {}
    parameters = item.supported_parameters
    return ModelOffer(
        id=item.id,
        context_tokens=_tokens(item.context_length) or _tokens(item.max_model_len),
        prompt_usd=_price(pricing.get("prompt")),
        completion_usd=_price(pricing.get("completion")),
        takes_tools="tools" in parameters if isinstance(parameters, list) else None,
    )


def _tokens(value: object) -> int | None:
    return value if isinstance(value, int) and 0 < value < 2**40 else None


def _price(value: object) -> float | None:
    """Dollars per million tokens; providers write dollars per token, as text."""
    if not isinstance(value, str | int | float):
        return None
    try:
        price = float(value) * _PER_MILLION
    except (ValueError, OverflowError):
        return None
    return price if math.isfinite(price) and price >= 0 else None
