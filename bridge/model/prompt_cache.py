"""Marks that let a provider reuse the part of a prompt which it has read before.

Most providers find the common beginning by themselves. Anthropic's models have to be told where
it may end, at four places at most; the marks are no part of what is compared.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_MARK = {"type": "ephemeral"}
_ANSWERED = ("user", "tool")


def needs_marks(model: str) -> bool:
    """Whether this model caches only what is marked."""
    name = model.lower().removeprefix("~")
    return name.startswith("anthropic/") or "claude" in name


def marked(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The same messages with marks; the ones given are not changed.

    Marked are the standing instructions, the newest message, and the one that was the newest in
    the request before, whose cache entry is therefore there to be read.
    """
    places = _newest_places(messages)
    if messages and messages[0].get("role") == "system":
        places.add(0)
    return [
        _with_mark(message) if place in places else message
        for place, message in enumerate(messages)
    ]


def _newest_places(messages: Sequence[Mapping[str, Any]]) -> set[int]:
    places: set[int] = set()
    wanted = True  # the next user or tool message that comes ends a request
    for place in range(len(messages) - 1, -1, -1):
        role = messages[place].get("role")
        if role == "assistant":
            wanted = True
        elif wanted and role in _ANSWERED:
            places.add(place)
            wanted = False
        if len(places) == 2:  # noqa: PLR2004  (the newest and the one before, see `marked`)
            break
    return places


def _with_mark(message: Mapping[str, Any]) -> Mapping[str, Any]:
    content = message.get("content")
    if not isinstance(content, str) or not content:
        return message
    part = {"type": "text", "text": content, "cache_control": _MARK}
    return {**message, "content": [part]}
