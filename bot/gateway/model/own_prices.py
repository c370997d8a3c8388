"""Prices that the settings name: for servers that list none, or other ones than are paid."""

from collections.abc import Mapping
from decimal import Decimal

from bot.config import MODEL_PRICE_PATTERN, Settings
from bot.domain.budget import Price

_PER_MILLION = Decimal(1_000_000)


def own_prices(settings: Settings) -> Mapping[str, Price]:
    """The prices in MODEL_PRICES, by the model's name."""
    found = (MODEL_PRICE_PATTERN.fullmatch(word) for word in settings.model_prices)
    return {
        match[1]: Price(Decimal(match[2]) / _PER_MILLION, Decimal(match[3]) / _PER_MILLION)
        for match in found
        if match
    }
