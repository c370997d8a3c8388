"""Text of others costs a time that grows as its length does, never as the square of it."""

from collections.abc import Callable

import pytest

from bot.domain.replies import read_reply
from bot.domain.start_command import read_start
from bot.slack.events import is_urgent, person_message
from bot.slack.views.splitting import split_markdown
from bot.slack.views.text import plain
from tests.hostile.growth import TIMES_SLOWER, growth


def as_message(text: str) -> object:
    event = {"user": "UANA", "ts": "1.0", "channel": "C1", "text": text}
    return person_message({}, event, "UBOT")


def as_urgent(text: str) -> object:
    return is_urgent({"event": {"type": "message", "text": text}}, "octagonal_sign")


def repeated(piece: str, last: str = "") -> Callable[[int], str]:
    return lambda chars: piece * (chars // len(piece)) + last


def around(first: str, filling: str, last: str) -> Callable[[int], str]:
    return lambda chars: first + filling * (chars // len(filling)) + last


CASES: dict[str, tuple[Callable[[str], object], Callable[[int], str]]] = {
    "blanks in a table's second row": (split_markdown, around("a|b\n|-", " ", "x")),
    "dashes in a table's second row": (split_markdown, around("a|b\n|", "-", "x")),
    "cells in a table's second row": (split_markdown, around("a|b\n|", "-|", "x")),
    "openings": (plain, repeated("<")),
    "openings of links": (plain, repeated("<a:")),
    "openings of addresses": (plain, repeated("<mailto:a")),
    "openings of labels": (plain, repeated("<a:b|")),
    "a link without an end": (plain, around("<", "a", "")),
    "a scheme without an end": (plain, around("<a:", "a:", "")),
    "mentions without an end": (as_message, repeated("<@UBOT|")),
    "mentions before a stop": (as_urgent, repeated("<@")),
    "blanks behind a verbosity": (read_reply, around("verbosity: quiet", " ", "x")),
    "dots behind a verbosity": (read_reply, around("verbosity: quiet", " .", "x")),
    "blanks behind a model": (read_reply, around("model:", " ", "x y")),
    "options": (
        lambda text: read_start(text, 10, None),
        around("acme/api ", "--steps 1 ", "fix"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_time_grows_as_the_text_does(name: str) -> None:
    function, text_of = CASES[name]
    assert growth(function, text_of, 1_500) < TIMES_SLOWER
