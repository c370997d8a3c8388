"""Which models the provider serves: whether they can call tools, what they cost and hold."""

import difflib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import aiohttp
from pydantic import SecretStr

from bot.domain.budget import Price
from bot.domain.model_offer import ModelOffer
from bot.domain.quoting import code
from bot.errors import ModelUnusable, UserError
from bot.files import BodyTooLargeError, read_bounded
from bot.gateway.model.model_list import Listing, Models, found_in, read_models
from bot.gateway.model.offers import offers_of
from bot.shared_answers import SharedAnswers

CACHE_SECONDS = 600.0
# Prices hold longer, so that no call waits for a list, nor all of them for one that is late.
PRICE_SECONDS = 3_600.0
_AGAIN_SECONDS = 60.0
_TIMEOUT = aiohttp.ClientTimeout(total=20, sock_connect=10)
_MAX_LIST_BYTES = 16 * 1024 * 1024
_NEAR_MATCHES = 3
_SILENT = "The model provider shows no list of models at the moment. Try again in a minute."

_log = logging.getLogger(__name__)


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
        self._asked: SharedAnswers[str, Models | None] = SharedAnswers()
        self._cached: tuple[float, Models | None] | None = None
        self._failed_at: float | None = None

    async def check(self, model: str) -> None:
        """Raise ModelUnusable when the model is known not to work with tools.

        A provider that lists no models, as many compatible servers do, is believed to have it.
        """
        models = await self._models()
        if models is None or model.startswith("@"):  # a preset is the account's own, never listed
            return
        listing = found_in(models, model)
        if listing is None:
            near = difflib.get_close_matches(model, list(models), _NEAR_MATCHES, 0.4)
            hint = " Did you mean " + " or ".join(code(name) for name in near) + "?"
            raise ModelUnusable(
                f"The model provider knows no model {code(model, 200)}.{hint if near else ''}"
            )
        if listing.takes_tools is False:
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
        listing = found_in(models or {}, model) or Listing()
        own = self._own_prices.get(model)
        return replace(listing, price=own) if own else listing

    async def offers(self) -> Sequence[ModelOffer]:
        """Every model on offer; raises UserError when the provider shows no list.

        A server that lists nothing has the models that `own_prices` name.
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
        if self._cached is None or now - self._cached[0] >= self._lasts(self._cached[1]):
            return await self._asked.get("models", self._refreshed)
        return self._cached[1]

    async def _refreshed(self) -> Models | None:
        now = self._clock()
        self._cached = (now, await self._ask())
        return self._cached[1]

    @staticmethod
    def _lasts(models: Models | None) -> float:
        """A server without a list may only be starting."""
        return _AGAIN_SECONDS if models is None else CACHE_SECONDS

    async def _ask(self) -> Models | None:
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
                return read_models(await read_bounded(answer.content.iter_any(), _MAX_LIST_BYTES))
        except BodyTooLargeError:
            _log.warning("the provider's list of models is too large to read")
            return None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ModelUnusable(
                "The model provider does not answer. Try again in a few minutes, or ask an admin "
                "to check OPENROUTER_BASE_URL.",
                f"{self._base_url}/models: {type(error).__name__}: {error}",
            ) from error
