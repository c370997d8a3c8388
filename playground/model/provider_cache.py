"""Counts the tokens that a provider's prompt cache would hold: the beginning of two prompts."""

import json
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

KEPT_PROMPTS = 8
BYTES_PER_TOKEN = 4


def has_marks(model: str) -> bool:
    """Check whether a model caches only up to a `cache_control` mark, as Anthropic's do."""
    return "claude" in model


class PromptCache:
    """The newest prompts of each model, and how much of a new one is known from them."""

    def __init__(self) -> None:
        self._prompts: defaultdict[str, deque[list[tuple[bytes, bool]]]] = defaultdict(
            lambda: deque(maxlen=KEPT_PROMPTS)
        )

    def count(self, model: str, body: Json) -> tuple[int, int]:
        """The tokens of a prompt and how many of them were read from the cache; it is kept."""
        prompt = list(_parts(body))
        kept = self._prompts[model]
        known = max((_shared(old, prompt, marks=has_marks(model)) for old in kept), default=0)
        kept.append(prompt)
        return sum(len(text) for text, _ in prompt) // BYTES_PER_TOKEN, known // BYTES_PER_TOKEN


def _shared(old: list[tuple[bytes, bool]], new: list[tuple[bytes, bool]], *, marks: bool) -> int:
    """Bytes of whole messages that both begin with, up to the last mark of the old one."""
    shared = size = 0
    for (before, marked), (now, _) in zip(old, new, strict=False):
        if before != now:
            break
        size += len(now)
        if marked or not marks:
            shared = size
    return shared


def _parts(body: Json) -> Iterator[tuple[bytes, bool]]:
    """The tools and each message as they are compared, without marks, and whether one ends there.

    A content of one text part is the same as that text.
    """
    yield json.dumps(body.get("tools") or [], sort_keys=True).encode(), False
    for message in body["messages"]:
        content, marked = message.get("content"), False
        if isinstance(content, list):
            parts = [part for part in content if isinstance(part, dict)]
            marked = any("cache_control" in part for part in parts)
            texts = [part.get("text") for part in parts]
            content = texts[0] if len(texts) == 1 else texts
        yield json.dumps({**message, "content": content}, sort_keys=True).encode(), marked
