"""The provider's models as people are shown them: prices, context, tool support."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from bot.domain.budget import Price
from bot.domain.model_offer import ModelOffer
from bot.gateway.model.model_list import Listing

_PER_MILLION = Decimal(1_000_000)


def offers_of(
    models: Mapping[str, Listing], own_prices: Mapping[str, Price]
) -> Sequence[ModelOffer]:
    """Every model that is listed and not hidden.

    `own_prices` count in place of what the provider lists; the models that only they name are on
    offer, too.
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
