"""What a provider's list of models says about their limits; it trusts nothing of its shape."""

from collections.abc import Mapping

from bridge.model.limits import (
    FALLBACK_OUTPUT_TOKENS,
    LARGEST_CONTEXT_TOKENS,
    ModelLimits,
)
from bridge.protocol.limits import SMALLEST_CONTEXT_TOKENS


def read_limits(answer: object) -> dict[str, ModelLimits]:
    """The limits of every model that names its context; `answer` is the body of GET /models."""
    listed = answer.get("data") if isinstance(answer, Mapping) else None
    found: dict[str, ModelLimits] = {}
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, Mapping) and isinstance(name := entry.get("id"), str):
            limits = _limits(entry)
            if limits is not None:
                found[name] = limits
    return found


def limits_of(model: str, listed: Mapping[str, ModelLimits]) -> ModelLimits | None:
    """The limits of a model; `:nitro` and the like change only the routing."""
    return listed.get(model) or listed.get(model.rpartition(":")[0])


def _limits(entry: Mapping[str, object]) -> ModelLimits | None:
    provider = entry.get("top_provider")
    top: Mapping[str, object] = provider if isinstance(provider, Mapping) else {}
    sizes = [_tokens(entry.get(name)) for name in ("context_length", "max_model_len")]
    sizes.append(_tokens(top.get("context_length")))
    named = [size for size in sizes if size is not None]
    if not named:
        return None
    context = max(min(named), SMALLEST_CONTEXT_TOKENS)
    output = _tokens(top.get("max_completion_tokens")) or FALLBACK_OUTPUT_TOKENS
    return ModelLimits(context, min(output, context))


def _tokens(value: object) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 < value <= LARGEST_CONTEXT_TOKENS else None
