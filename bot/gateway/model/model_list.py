"""The provider's list of models as it comes over the wire; it trusts nothing of its shape."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from pydantic import BaseModel, ConfigDict, ValidationError

from bot.domain.budget import Price
from bridge.protocol import MAX_MODEL_CHARS

_MOST_TOKENS = 2**40

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listing:
    """What the provider says about a model; None is what it does not say.

    `price` is that of a token at its dearest; `prompt_usd` and `completion_usd` are those that
    people are shown. A hidden model can be asked for by its name, and is not offered.
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
        """Whether it can call tools; None where the provider does not say."""
        return None if self.parameters is None else "tools" in self.parameters


Models = dict[str, Listing]


class _ListedModel(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: str
    supported_parameters: object = None
    pricing: object = None
    context_length: object = None
    max_model_len: object = None  # vLLM's word for it
    top_provider: object = None
    hidden: object = None


class _List(BaseModel):
    model_config = ConfigDict(extra="ignore")
    data: list[_ListedModel]


def read_models(body: bytes) -> Models | None:
    """The models of a list; None when it has another shape, or names none."""
    try:
        found = _List.model_validate_json(body)
    except ValidationError:
        _log.info("the provider's list of models has another shape")
        return None
    return {
        item.id: _listing(item) for item in found.data if 0 < len(item.id) <= MAX_MODEL_CHARS
    } or None


def found_in(models: Mapping[str, Listing], model: str) -> Listing | None:
    """What is listed of a model, or of the one whose variant it is."""
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
    return value if 0 < value < _MOST_TOKENS else None
