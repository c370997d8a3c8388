"""Frames the modals that show what an agent did: location, pages, literal text."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self

from bot.slack.views.blocks import Block, actions, button, context, section
from bot.slack.views.text import visible

TURN, POST = "results_turn", "results_post"
LITERAL_CHARS = 2_900
_MOST_PAGES = 1_000_000


class ModalView(StrEnum):
    """The content of a modal."""

    STEPS = "steps"
    FILES = "files"
    HUNKS = "hunks"


@dataclass(frozen=True, slots=True)
class ModalLocation:
    """The content and the page of a modal; it travels in the values of its buttons."""

    shows: ModalView
    agent_id: str
    task_id: str
    page: int = 0
    file: str = ""

    def packed(self) -> str:
        """Returns the value of a button that leads here."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def unpacked(cls, value: str) -> Self | None:
        """Reads a button's value; None when it is of another kind."""
        try:
            fields = json.loads(value)
            page = max(0, min(int(fields["page"]), _MOST_PAGES))
            names = [str(fields[name]) for name in ("agent_id", "task_id", "file")]
            return cls(ModalView(fields["shows"]), names[0], names[1], page, names[2])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
            return None


def window(title: str, blocks: Sequence[Block]) -> dict[str, Any]:
    """Returns a modal to read in; nothing is submitted."""
    return {
        "type": "modal",
        "title": {"type": "plain_text", "text": title},
        "close": {"type": "plain_text", "text": "Close"},
        "blocks": list(blocks),
    }


def sentence(title: str, mrkdwn: str) -> dict[str, Any]:
    """Returns a window that says one thing: what is being read, or why there is nothing to see."""
    return window(title, [section(mrkdwn)])


def turning(place: ModalLocation, pages: int, more: Sequence[Block] = ()) -> list[Block]:
    """Returns the number of the page, and the buttons that lead on."""
    shown = []
    if place.page > 0:
        shown.append(leading("Previous", replace(place, page=place.page - 1), "previous"))
    if place.page < pages - 1:
        shown.append(leading("Next", replace(place, page=place.page + 1), "next"))
    shown += more
    position = [context(f"Page {place.page + 1} of {pages}")] if pages > 1 else []
    return position + ([actions(shown)] if shown else [])


def leading(label: str, place: ModalLocation, how: str) -> Block:
    """Returns a button that leads to a place; `how` tells it from the others of its row."""
    return button(label, f"{TURN}:{how}", place.packed())


def literal(text: str) -> Block:
    """Returns a block that shows text as it is: markup in it has no effect, nothing pings."""
    piece = {"type": "text", "text": text}
    return {
        "type": "rich_text",
        "elements": [{"type": "rich_text_preformatted", "elements": [piece]}],
    }


def pieces(text: str, limit: int = LITERAL_CHARS) -> list[str]:
    """Returns the text in parts that a literal block takes, cut at a line's end where it can be.

    What nobody would see is made visible. Parts that hold nothing are left out.
    """
    parts: list[str] = []
    current: list[str] = []
    size = 0
    for row in visible(text).split("\n"):
        for start in range(0, max(len(row), 1), limit):
            piece = row[start : start + limit]
            if current and size + len(piece) + 1 > limit:
                parts.append("\n".join(current))
                current, size = [], 0
            current.append(piece)
            size += len(piece) + 1
    parts.append("\n".join(current))
    return [part for part in parts if part.strip()]
