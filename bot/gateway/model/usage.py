"""Reads what a model call has used from its answer, while the answer passes by."""

import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bot.domain.budget import nano_of
from bot.domain.usage import UsageTotals

# A line of a stream that is longer than this is not looked at; it passes all the same.
_MAX_EVENT_BYTES = 1024 * 1024
_MAX_COUNTED_TOKENS = 10**12
_MAX_USD = 10**6
_MAX_WORDS = 200


class UsageReader:
    """Follows an event stream piece by piece. `usage` is the newest that it named."""

    def __init__(self) -> None:
        self.usage: UsageTotals | None = None
        self.done = False
        self._line = bytearray()
        self._skipping = False

    def feed(self, piece: bytes) -> None:
        """Look at the next bytes."""
        *whole, rest = piece.split(b"\n")
        for part in whole:
            self._line += part
            if not self._skipping and len(self._line) <= _MAX_EVENT_BYTES:
                self._look(bytes(self._line))
            self._line.clear()
            self._skipping = False
        if not self._skipping:
            self._line += rest
        if len(self._line) > _MAX_EVENT_BYTES:
            self._line.clear()
            self._skipping = True

    def _look(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return
        data = line[5:].strip()
        if data == b"[DONE]":
            self.done = True
        elif b'"usage"' in data:
            self.usage = usage_of(_object(data)) or self.usage


def usage_in(body: bytes) -> UsageTotals | None:
    """What an answer that came in one piece has used."""
    return usage_of(_object(body))


def usage_of(answer: Mapping[str, Any]) -> UsageTotals | None:
    """What one chunk or answer says about usage; None when it says nothing."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    return UsageTotals(
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        cached_tokens=_count(usage.get("prompt_tokens_details"), "cached_tokens"),
        reasoning_tokens=_count(usage.get("completion_tokens_details"), "reasoning_tokens"),
        cost_nano=_cost(usage),
        model=_words(answer.get("model")),
        provider=_words(answer.get("provider")),
        generation_id=_words(answer.get("id")),
    )


def _cost(usage: Mapping[str, Any]) -> int | None:
    cost = _usd(usage.get("cost"))
    if cost is None or usage.get("is_byok") is not True:
        return None if cost is None else nano_of(cost)
    # The account's own key at the upstream: `cost` is only the fee on top.
    details = usage.get("cost_details")
    upstream = _usd(details.get("upstream_inference_cost")) if isinstance(details, dict) else None
    return nano_of(cost + (upstream or 0))


def _usd(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or not 0 <= value <= _MAX_USD:
        return None
    return Decimal(str(value))


def _count(found: object, name: str) -> int | None:
    value = found.get(name) if isinstance(found, dict) else None
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _MAX_COUNTED_TOKENS else None


def _words(value: object) -> str | None:
    return value[:_MAX_WORDS] if isinstance(value, str) and value else None


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
