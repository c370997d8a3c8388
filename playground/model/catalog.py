"""Lists the models on offer, as `GET /models` shows them."""

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

CREATED = 1_729_555_200
CACHE_READ_SHARE = 0.1  # the price of a cached token as a part of a new one's
SMALL_WINDOW = "example/claude-32k"
TOOLS = ("max_tokens", "stop", "temperature", "tool_choice", "tools", "top_k", "top_p")
NO_TOOLS = ("max_tokens", "temperature")


def _model(
    slug: str, name: str, context: int, prices: tuple[str, str], parameters: tuple[str, ...]
) -> Json:
    """One entry; prices are dollars per prompt and per completion token."""
    prompt, completion = prices
    return {
        "id": slug,
        "canonical_slug": slug,
        "name": name,
        "created": CREATED,
        "description": "A stand-in of the playground; the scripted model answers for it.",
        "context_length": context,
        "hugging_face_id": None,
        "architecture": {
            "modality": "text->text",
            "input_modalities": ["text"],
            "output_modalities": ["text"],
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": {
            "prompt": prompt,
            "completion": completion,
            "request": "0",
            "image": "0",
            "web_search": "0",
            "internal_reasoning": "0",
            "input_cache_read": f"{float(prompt) * CACHE_READ_SHARE:.12g}",
            "input_cache_write": "0",
        },
        "top_provider": {
            "context_length": context,
            "max_completion_tokens": 8_192,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": list(parameters),
    }


CATALOG: dict[str, Json] = {
    model["id"]: model
    for model in (
        _model(
            "anthropic/claude-3.5-sonnet",
            "Anthropic: Claude 3.5 Sonnet",
            200_000,
            ("0.000003", "0.000015"),
            TOOLS,
        ),
        _model("openai/gpt-4o", "OpenAI: GPT-4o", 128_000, ("0.0000025", "0.00001"), TOOLS),
        _model(
            "scripted/scripted-model",
            "Scripted: a story by the task",
            200_000,
            ("0.000003", "0.000015"),  # invented, so that costs and budgets can be seen
            TOOLS,
        ),
        _model("scripted/fix", "Scripted: fix the test", 200_000, ("0", "0"), TOOLS),
        _model(SMALL_WINDOW, "Small window", 32_768, ("0.000003", "0.000015"), TOOLS),
        _model("example/no-tools", "No tools", 8_192, ("0", "0"), NO_TOOLS),
    )
}
_CONTEXT = 200_000
DEFAULT_PRICES = (0.000003, 0.000015)


def listing(scenarios: Iterable[str], faults: Iterable[str]) -> list[Json]:
    """List the models on offer: the stand-ins, each scenario, and each fault, hidden."""
    prices = ("0.000003", "0.000015")  # DEFAULT_PRICES, written as a provider writes them
    scripted = [
        _model(f"scripted/{name}", f"Scripted: {name}", _CONTEXT, prices, TOOLS)
        for name in scenarios
    ]
    failing = [
        _model(f"fault/{name}", f"Fault: {name}", _CONTEXT, prices, TOOLS) | {"hidden": True}
        for name in faults
    ]
    known = (model for model in [*scripted, *failing] if model["id"] not in CATALOG)
    return [*CATALOG.values(), *known]


def knows(slug: str) -> bool:
    return slug in CATALOG or slug.startswith(("scripted/", "fault/"))


def takes_tools(slug: str) -> bool:
    return slug not in CATALOG or "tools" in CATALOG[slug]["supported_parameters"]


def prices(slug: str) -> tuple[float, float]:
    """Dollars per prompt and per completion token."""
    if slug not in CATALOG:
        return DEFAULT_PRICES
    pricing = CATALOG[slug]["pricing"]
    return float(pricing["prompt"]), float(pricing["completion"])


def context_length(slug: str) -> int:
    """Return the number of tokens that a prompt may have."""
    return int(CATALOG[slug]["context_length"]) if slug in CATALOG else _CONTEXT


KEY: Json = {
    "label": "sk-or-v1-pla...ary",
    "limit": 100,
    "limit_remaining": 74.5,
    "limit_reset": "monthly",
    "usage": 25.5,
    "usage_daily": 1.5,
    "usage_weekly": 5.5,
    "usage_monthly": 25.5,
    "byok_usage": 0,
    "byok_usage_daily": 0,
    "byok_usage_weekly": 0,
    "byok_usage_monthly": 0,
    "include_byok_in_limit": False,
    "is_free_tier": False,
    "is_management_key": False,
    "is_provisioning_key": False,
    "creator_user_id": "user_playground",
    "expires_at": None,
    "rate_limit": {"requests": 1000, "interval": "1h", "note": "deprecated"},
}
