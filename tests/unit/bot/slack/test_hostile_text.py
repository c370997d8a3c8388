"""Text of others, in every place that shows it: it pings nobody, and the limits hold."""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

import pytest

from bot.domain.posts import Post, PostKind
from bot.slack.views.text import model_markdown
from playground.slack.rules import check_blocks
from tests.unit.bot.slack.posts import Words, noted, posts

PINGS = "<!channel> <!here|here> <!everyone> <@U123> <!subteam^S1> @channel @here"
MARKUP = (
    "*bold* _it_ ~no~ `code` ```fence <https://evil.invalid|https://bank.invalid> &lt;!channel&gt;"
)
TURNED = "a\u202eb\u2066c\x00d\x07e\x1b[31mf\u200f\u0085g"
HOSTILE = {
    "pings": PINGS,
    "markup": MARKUP,
    "turned": TURNED,
    "lines": "one\r\n# two\n> three\n\n\n----\n",
    "long": "x" * 120_000,
    "long_pings": (PINGS + " ") * 1_500,
    "fences": "```\n" * 3_000,
    "wide": "🤖" * 40_000,
    "blank": "   \n\t ",
    "halves": "a\ud800b\udfff",
    "hidden": "a\u200bb\u2060\ufeff @\u200bchannel \u061c",
    "empty": "",
}
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def hostile(text: str) -> Words:
    return Words(**{item.name: text for item in fields(Words)})


@functools.cache
def made(kind: str) -> Mapping[str, Post]:
    """Every post that holds this text, by its name."""
    return posts(hostile(HOSTILE[kind]))


# The one thing of this kind that we write ourselves; what others wrote has no "<" any more.
OUR_TIMES = re.compile(r"<!date\^\d+\^\{time\}\|\d\d:\d\d UTC>")


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_pings_nobody_and_stays_within_the_limits(kind: str) -> None:
    for name, post in made(kind).items():
        if post.kind is PostKind.MESSAGE:
            with noted(name):
                _check(post)


def _check(post: Post) -> None:
    check_blocks(post.payload["blocks"])
    check_blocks(post.payload.get("plain", []))
    assert post.payload["text"].strip()
    assert len(post.payload["text"]) <= 3_000
    assert len(json.dumps(post.payload, ensure_ascii=False).encode()) < 100_000
    for text in texts(post.payload):
        assert not CONTROLS.search(text)
    for text in mrkdwn(post):
        assert "<!" not in OUR_TIMES.sub("", text)
        assert set(re.findall(r"<@(\w+)", text)) <= {"UANA", "UBEN"}
        assert "<https://evil" not in text
    for block in post.payload["blocks"]:
        if block["type"] == "markdown":
            assert not re.search(r"<[!@]", block["text"])
            assert not re.search(r"@(channel|here|everyone)\b", block["text"])


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_makes_a_bounded_number_of_messages(kind: str) -> None:
    completed = [name for name in made(kind) if name.startswith("answer_completed_")]
    assert len([name for name in completed if "length" not in name]) <= 30


@pytest.mark.parametrize("kind", ["long", "long_pings", "wide"])
def test_a_long_answer_loses_nothing(kind: str) -> None:
    shown = ""
    for name, post in made(kind).items():
        if re.fullmatch(r"answer_completed_\d+", name):
            blocks = post.payload["blocks"]
            shown += "".join(block["text"] for block in blocks if block["type"] == "markdown")
    assert shown == model_markdown(HOSTILE[kind])
    assert shown.replace("\u200b", "") == HOSTILE[kind]


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def mrkdwn(post: Post) -> Iterator[str]:
    yield post.payload["text"]
    for block in (*post.payload["blocks"], *post.payload.get("plain", ())):
        if block["type"] != "markdown":
            yield from texts(block)
