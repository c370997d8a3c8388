"""An approval shows the command that would run: what is drawn as nothing is spelled out."""

import sys
import unicodedata

import pytest

from bot.domain.task_card import TaskCard
from bot.slack.views.question import question_blocks
from bot.slack.views.text import visible
from bridge.protocol import QuestionAsked, QuestionKind
from tests.unit.bot.slack.posts import Words, agent_of

INVISIBLE = [
    "\u200b", "\u200c", "\u200d", "\u202e", "\u2066", "\u2069", "\u061c", "\u00ad", "\u00a0",
    "\u3000", "\u2028", "\u180e", "\u3164", "\u115f", "\ufe0f", "\u2800", "\u034f", "\ufeff",
    "\U000e0041", "\U000e0100", "\x1b", "\x7f", "\x85", "\r",
]  # fmt: skip


def asked(text: str, folder: str = ".") -> QuestionAsked:
    return QuestionAsked(
        at=1.0,
        task_id="t1",
        call_id="c1",
        question_id="q1",
        kind=QuestionKind.APPROVAL,
        text=text,
        working_directory=folder,
        reason="it is needed",
        step=1,
    )


@pytest.mark.parametrize("char", INVISIBLE)
def test_a_command_with_an_invisible_character_shows_it(char: str) -> None:
    card = TaskCard("t1", 1, started_at=0.0, now=1.0)
    question = asked(f"rm a{char}b", f"src{char}x")
    text, blocks = question_blocks(agent_of(Words()), card, question, None)
    number = f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
    assert f"rm a{number}b" in text
    assert f"rm a{number}b" in str(blocks[1]["text"])
    assert f"src{number}x" in blocks[2]["elements"][0]["text"]
    assert char not in text
    assert char not in str(blocks[1]["text"])


def test_whatever_unicode_draws_as_nothing_is_spelled_out() -> None:
    drawn_as_nothing = [
        char
        for char in map(chr, range(sys.maxunicode + 1))
        if char not in "\t\n " and unicodedata.category(char) in {"Cc", "Cf", "Zs", "Zl", "Zp"}
    ]
    assert len(drawn_as_nothing) > 200
    for char in drawn_as_nothing:
        assert visible(f"a{char}b").isascii(), hex(ord(char))


@pytest.mark.parametrize("text", ["plain", "a\tb\nc", "naïve 日本語 é e\u0301", "Ω ≠ ∅ 🙂", "\r\n"])
def test_what_can_be_seen_stays_as_it_is(text: str) -> None:
    assert visible(text) == text.replace("\r\n", "\n")
