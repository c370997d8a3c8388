"""What a summary of the older conversation says: the bridge's own facts, and the model's words."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bridge.model.limits import ChatMessage
from bridge.model.response import cut_middle
from bridge.text import NOTE

_MAX_NAMED_FILES = 60
_WRITING_TOOLS = frozenset({"write_file", "edit_file", "apply_patch"})
_LEAST_CHARS = 400
_LAST_WORDS = 3

SUMMARY_NOTE = (
    f"{NOTE} The conversation has become long: its older part is about to be replaced by a summary "
    "that you write now. It is all that you will know of that part. Call no tool. In at most "
    "{words} words, under these headings: Task (what is wanted, with every constraint, name, "
    "number and path that matters); Decisions (what was decided and why, what failed); "
    "Files (which were read or changed, what in them matters); State (what is done, what was "
    "verified and how); Open points (what is left, in order). Keep what an earlier summary says "
    "and still holds. Facts only; no credentials."
)
_BY_MODEL = "# Summary, written by you"
_BEFORE = "# From the summary before"
_HEAD = (
    f"{NOTE} The older part of this conversation is left out. This is what it came to; the newest "
    "messages follow as they were. Read a file again before you rely on its details."
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is certain without the model: what people asked, and which files were written."""

    people: tuple[str, ...]
    left_out: int
    files: tuple[str, ...]
    last_words: tuple[str, ...]


def facts_of(messages: Sequence[ChatMessage], limit_chars: int) -> Facts:
    """The facts of the part that is left out. The newest request is kept as whole as it goes."""
    asked = [
        text
        for message in messages
        if message["role"] == "user"
        and isinstance(text := message.get("content"), str)
        and not text.startswith(NOTE)
    ]
    kept: dict[int, str] = {}
    room = max(limit_chars, _LEAST_CHARS)
    # The newest request and the first: what lies between them is worth what room is left.
    for place in dict.fromkeys((len(asked) - 1, 0, *range(len(asked) - 2, 0, -1))):
        if room < _LEAST_CHARS // 4 or not asked:
            break
        kept[place] = cut_middle(asked[place], max(room // 2, _LEAST_CHARS // 2))
        room -= len(kept[place])
    said = [
        message["content"].strip()
        for message in messages
        if message["role"] == "assistant" and isinstance(message.get("content"), str)
    ]
    return Facts(
        people=tuple(kept[place] for place in sorted(kept)),
        left_out=len(asked) - len(kept),
        files=tuple(dict.fromkeys(_written(messages)))[-_MAX_NAMED_FILES:],
        last_words=tuple(text for text in said if text)[-_LAST_WORDS:],
    )


def summary_text(facts: Facts, said: str, earlier: str, limit_chars: int) -> str:
    """The message that stands for the older part.

    `said` is what the model wrote; without it what it said last, and the summary before, must do.
    """
    parts = [_HEAD, "# What people asked, in their words", *(f"- {text}" for text in facts.people)]
    if facts.left_out:
        parts.append(f"- ({facts.left_out} more messages are left out)")
    if facts.files:
        parts += ["# Files written so far", ", ".join(f"`{path}`" for path in facts.files)]
    if said:
        parts += [_BY_MODEL, cut_middle(said, max(limit_chars, _LEAST_CHARS))]
    else:
        words = "\n".join(f"- {text}" for text in facts.last_words)
        parts += ["# What you said last before this point", cut_middle(words, limit_chars)]
        if earlier:
            kept = earlier.partition(_BY_MODEL)[2] or earlier.partition(_BEFORE)[2]
            parts += [_BEFORE, cut_middle(kept.strip(), max(limit_chars, _LEAST_CHARS))]
    return "\n".join(parts)


def _written(messages: Sequence[ChatMessage]) -> Iterator[str]:
    for message in messages:
        for call in message.get("tool_calls") or ():
            function: Mapping[str, Any] = call.get("function") or {}
            if function.get("name") in _WRITING_TOOLS and (path := _path(function)):
                yield path


def _path(function: Mapping[str, Any]) -> str:
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except (ValueError, RecursionError):
        return ""
    path = arguments.get("path") if isinstance(arguments, dict) else None
    return path[:200] if isinstance(path, str) else ""
