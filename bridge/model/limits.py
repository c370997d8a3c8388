"""Knows the limits of models, measures prompts, and finds where one may be cut."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.protocol.limits import SMALLEST_CONTEXT_TOKENS

ChatMessage = Mapping[str, Any]  # one message as the chat-completions API wants it

# The limits of a model whose provider names none; most take more.
FALLBACK_CONTEXT_TOKENS = 128_000
FALLBACK_OUTPUT_TOKENS = 8_192
LARGEST_CONTEXT_TOKENS = 100_000_000
_SHARE_USED = 0.8
_TOKENS_PER_BYTE = 1 / 3  # more than English or code needs, so that the guess errs to the safe side
_LEAST_PER_BYTE, _MOST_PER_BYTE = 1 / 8, 2.0
_LEARNED_SHARE = 0.95
_NAMED_LIMIT = re.compile(
    r"(?:maximum context length (?:is|of)|context window of|>) ?([0-9]{4,9})(?: tokens| maximum)"
)


@dataclass(frozen=True, slots=True)
class Summary:
    """The text that stands for the messages before position `upto`."""

    text: str
    upto: int


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """The most tokens of prompt and answer together, and of the answer alone."""

    context_tokens: int = FALLBACK_CONTEXT_TOKENS
    output_tokens: int = FALLBACK_OUTPUT_TOKENS

    @property
    def prompt_tokens(self) -> int:
        """The size to which a prompt may grow before a summary has to make it smaller."""
        reserve = min(self.output_tokens, self.context_tokens // 4)
        return int(self.context_tokens * _SHARE_USED) - reserve

    @property
    def result_chars(self) -> int:
        """The share of the context for one tool result."""
        return min(max(self.context_tokens // 4, 2_000), 30_000)

    @property
    def step_chars(self) -> int:
        """The share of the context for all tool results of one step together."""
        return max(self.context_tokens // 2, 4_000)

    def after_overflow(self, provider_text: str, estimate: int) -> "ModelLimits":
        """Returns the limits after an overflow: the provider's own, or less than the estimate."""
        named = _NAMED_LIMIT.search(provider_text.replace(",", ""))
        limit = int(named[1]) if named else int(estimate * _LEARNED_SHARE)
        context = max(min(self.context_tokens, limit), SMALLEST_CONTEXT_TOKENS)
        return ModelLimits(context, min(self.output_tokens, context // 4))


class Meter:
    """Estimates the tokens of the next prompt: the provider's count, and a guess of the rest."""

    def __init__(self) -> None:
        self._tokens = 0
        self._bytes = 0
        self._per_byte = _TOKENS_PER_BYTE

    def add_count(self, tokens: int, size_bytes: int) -> None:
        """Learns from the tokens that the provider counted in a prompt; 0 tells nothing."""
        if tokens > 0 and size_bytes > 0:
            self._tokens, self._bytes = tokens, size_bytes
            self._per_byte = min(max(tokens / size_bytes, _LEAST_PER_BYTE), _MOST_PER_BYTE)

    def forget(self) -> None:
        """Forgets the last prompt; how dense its text was stays known."""
        self._tokens = self._bytes = 0

    def estimate(self, size_bytes: int) -> int:
        """Estimates the tokens of a prompt of this size that begins like the last one."""
        since = size_bytes - self._bytes
        if since < 0:
            return int(size_bytes * self._per_byte) + 1
        density = max(self._per_byte, _TOKENS_PER_BYTE) if self._bytes else self._per_byte
        return self._tokens + int(since * density) + 1

    def bytes_in(self, tokens: int) -> int:
        """Returns the size of a text of about so many tokens."""
        return int(max(tokens, 0) / self._per_byte)


def size_of(message: object) -> int:
    """Returns the bytes of a message or of a tool schema on the wire."""
    return len(json.dumps(message, ensure_ascii=False).encode(errors="replace"))


def cut_before(
    messages: Sequence[ChatMessage], sizes: Sequence[int], first: int, keep_bytes: int
) -> int | None:
    """Returns the first message to keep, so that about `keep_bytes` stay; None: no cut.

    Calls and their results stay together, and the newest answer of the model with what followed it
    always stays. Messages before `first` are left out already.
    """
    newest = len(messages) - 1
    while newest > first and messages[newest]["role"] != "assistant":
        newest -= 1
    position, kept = newest, sum(sizes[newest:])
    for at in range(newest - 1, first, -1):
        kept += sizes[at]
        if kept > keep_bytes:
            break
        if messages[at]["role"] != "tool":
            position = at
    return position if position > first else None


def read_limits(answer: object) -> dict[str, ModelLimits]:
    """Returns the limits of every model that names its context in the body of GET /models."""
    listed = answer.get("data") if isinstance(answer, Mapping) else None
    limits_by_model: dict[str, ModelLimits] = {}
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, Mapping) and isinstance(name := entry.get("id"), str):
            limits = _limits(entry)
            if limits is not None:
                limits_by_model[name] = limits
    return limits_by_model


def limits_of(model: str, listed: Mapping[str, ModelLimits]) -> ModelLimits | None:
    """Returns the limits of a model; `:nitro` and the like change only the routing."""
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
