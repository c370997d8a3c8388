"""Which blocks a message is sent with, when one post is shown beneath another."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pytest

from bot.domain.posts import PostContent
from bot.slack.outbox.block_fallback import BlockFallback
from bot.store.outbox import MAX_HOST_CHARS
from playground.slack.rules import check_blocks
from tests.unit.bot.slack.posts import Words, posts
from tests.unit.bot.slack.test_hostile_text import HOSTILE, made

ORDINARY = posts(Words())
CARDS = [name for name in ORDINARY if name.startswith("card_")]


def content(payload: Mapping[str, Any], *above: Mapping[str, Any]) -> PostContent:
    return PostContent("1", 1, 0, 1, payload, None, 0.0, above=above)


def beneath(every: Mapping[str, Any], card: str) -> list[list[Any]]:
    """What is tried, one after the other, for a card below each answer that has room."""
    found = []
    for name, post in every.items():
        blocks = post.payload.get("blocks") or []
        if name.startswith("answer_") and len(str(blocks)) <= MAX_HOST_CHARS:
            found.append(list(BlockFallback()._choices(content(every[card].payload, post.payload))))
    return [choice for choices in found for choice in choices]


@pytest.mark.parametrize("kind", ["ordinary", *HOSTILE])
def test_a_card_below_an_answer_is_within_the_limits(kind: str) -> None:
    every = ORDINARY if kind == "ordinary" else made(kind)
    # What is sent without the card is the same for all cards.
    sent = {json.dumps(blocks) for card in CARDS for blocks in beneath(every, card)}
    for blocks in sent:
        check_blocks(json.loads(blocks))


def test_the_answer_is_kept_whatever_becomes_of_the_card() -> None:
    answer, card = ORDINARY["answer_checked_0"].payload, ORDINARY["card_planned"].payload
    native, plain, alone, nothing = BlockFallback()._choices(content(card, answer))
    assert native[: len(answer["blocks"])] == answer["blocks"]
    assert native[len(answer["blocks"]) :] == card["blocks"]
    assert plain[len(answer["blocks"]) :] == card["plain"]
    assert (alone, nothing) == (answer["blocks"], [])


def test_a_card_that_is_too_large_shows_its_head_and_its_buttons() -> None:
    answer = {"text": "a", "blocks": [{"type": "markdown", "text": "x" * 9_000}]}
    card = ORDINARY["card_planned"].payload
    long = {"type": "section", "text": {"type": "mrkdwn", "text": "y" * 3_000}}
    blocks = [card["plain"][0], long, long, card["plain"][-1]]
    first = next(BlockFallback()._choices(content({"text": "c", "blocks": blocks}, answer)))
    assert first == [*answer["blocks"], blocks[0], blocks[-1]]
    check_blocks(first)


def test_every_plain_card_is_accepted_where_the_native_one_is_not() -> None:
    for name in CARDS:
        payload = asdict(ORDINARY[name])["payload"]
        refused = frozenset({"plan", "task_card"})
        check_blocks(payload.get("plain") or payload["blocks"], refused=refused)
