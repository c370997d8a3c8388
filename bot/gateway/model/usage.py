"""Reads the usage of a model call from its answer, while the answer is passed on."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bot.domain.bounded_json import parse_json
from bot.domain.budget import nano_of
from bot.domain.usage import UsageTotals

# A longer line of a stream is not read; it is passed on all the same.
_MAX_EVENT_BYTES = 1024 * 1024
_MAX_COUNTED_TOKENS = 10**12
_MAX_USD = 10**6
_MAX_TEXT_CHARS = 200


class UsageReader:
    """Reads an event stream piece by piece; `usage` is the newest that it named."""

    def __init__(self) -> None:
        self.usage: UsageTotals | None = None
        self.done = False
        self._line = bytearray()
        self._skipping = False

    def feed(self, piece: bytes) -> None:
        """Reads the next bytes."""
        *whole, partial = piece.split(b"\n")
        for part in whole:
            self._line += part
            if not self._skipping and len(self._line) <= _MAX_EVENT_BYTES:
                self._read_line(bytes(self._line))
            self._line.clear()
            self._skipping = False
        if not self._skipping:
            self._line += partial
        if len(self._line) > _MAX_EVENT_BYTES:
            self._line.clear()
            self._skipping = True

    def _read_line(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return
        data = line[5:].strip()
        if data == b"[DONE]":
            self.done = True
        elif b'"usage"' in data:
            self.usage = usage_of(_object(data)) or self.usage


def usage_in(body: bytes) -> UsageTotals | None:
    """Reads the usage of an answer that came in one piece."""
    return usage_of(_object(body))


def usage_of(answer: Mapping[str, Any]) -> UsageTotals | None:
    """Reads the usage that a chunk or answer names; None when it names none."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    return UsageTotals(
        prompt_tokens=_count(usage, "prompt_tokens"),
        completion_tokens=_count(usage, "completion_tokens"),
        cached_tokens=_count(usage.get("prompt_tokens_details"), "cached_tokens"),
        reasoning_tokens=_count(usage.get("completion_tokens_details"), "reasoning_tokens"),
        cost_nano=_cost(usage),
        model=_text(answer.get("model")),
        provider=_text(answer.get("provider")),
        generation_id=_text(answer.get("id")),
    )


def _cost(usage: Mapping[str, Any]) -> int | None:
    cost = _usd(usage.get("cost"))
    if cost is None or usage.get("is_byok") is not True:
        return None if cost is None else nano_of(cost)
    # With the account's own key at the upstream, `cost` is only the fee on top.
    details = usage.get("cost_details")
    upstream = _usd(details.get("upstream_inference_cost")) if isinstance(details, dict) else None
    return nano_of(cost + (upstream or 0))


def _usd(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or not 0 <= value <= _MAX_USD:
        return None
    return Decimal(str(value))


def _count(fields: object, name: str) -> int | None:
    value = fields.get(name) if isinstance(fields, dict) else None
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= _MAX_COUNTED_TOKENS else None


def _text(value: object) -> str | None:
    return value[:_MAX_TEXT_CHARS] if isinstance(value, str) and value else None


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        fields = parse_json(data)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
