"""Marks the part of a prompt that a provider has read before, so that it reuses that.

Most providers find the common beginning by themselves. Anthropic's models have to be told where
it may end, at four messages at most; the marks are no part of what is compared.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_MARK = {"type": "ephemeral"}
_ANSWERED = ("user", "tool")


def needs_marks(model: str) -> bool:
    """Checks whether this model caches only what is marked."""
    name = model.lower().removeprefix("~")
    return name.startswith("anthropic/") or "claude" in name


def marked(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Returns copies of the messages with marks.

    Marked are the standing instructions, the newest message, and the one that was the newest in
    the request before, whose cache entry is therefore there to be read.
    """
    positions = _newest_positions(messages)
    if messages and messages[0].get("role") == "system":
        positions.add(0)
    return [
        _with_mark(message) if position in positions else message
        for position, message in enumerate(messages)
    ]


def _newest_positions(messages: Sequence[Mapping[str, Any]]) -> set[int]:
    positions: set[int] = set()
    wanted = True  # the next user or tool message that comes ends a request
    for position in range(len(messages) - 1, -1, -1):
        role = messages[position].get("role")
        if role == "assistant":
            wanted = True
        elif wanted and role in _ANSWERED:
            positions.add(position)
            wanted = False
        if len(positions) == 2:  # noqa: PLR2004  (the newest and the one before, see `marked`)
            break
    return positions


def _with_mark(message: Mapping[str, Any]) -> Mapping[str, Any]:
    content = message.get("content")
    if not isinstance(content, str) or not content:
        return message
    part = {"type": "text", "text": content, "cache_control": _MARK}
    return {**message, "content": [part]}
