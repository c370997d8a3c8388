"""Describes the models that a provider offers, and searches them by name."""

from collections.abc import Sequence
from dataclasses import dataclass

SHOWN_OFFERS = 15


@dataclass(frozen=True, slots=True)
class ModelOffer:
    """One model. Prices are dollars per million tokens; None is what the provider does not say."""

    id: str
    context_tokens: int | None = None
    prompt_usd: float | None = None
    completion_usd: float | None = None
    takes_tools: bool | None = None


def matching_offers(offers: Sequence[ModelOffer], search: str) -> list[ModelOffer]:
    """Returns the models whose name has every word of the search, those with tools first."""
    words = search.lower().split()
    matching = [offer for offer in offers if all(word in offer.id.lower() for word in words)]
    return sorted(matching, key=lambda offer: (offer.takes_tools is False, offer.id))
