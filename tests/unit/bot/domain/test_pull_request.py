"""The words of a pull request: the model's where there are some, and nothing that pings."""

import re

import pytest

from bot.domain.agent import Agent, RepoRef
from bot.domain.pull_request import (
    MAX_DIFF_CHARS,
    Credits,
    model_prompt,
    title_and_body,
)
from tests.unit.bot.slack.test_hostile_text import CONTROLS, HOSTILE

AGENT = Agent(
    id="k3f9ab", team="T1", channel="C1", thread_ts="1000.000001", repo=RepoRef("acme", "api"),
    source_branch="main", target_branch="agent/k3f9ab-fix", title="fix the flaky test",
    model="anthropic/claude-3.5-sonnet", max_steps=15, started_by="UANA", created_at=1.0,
)  # fmt: skip
CREDITS = Credits("Ana Ortiz", ("Ben",), "https://slack.invalid/archives/C1/p1", "Tests: exit 0.")


def test_the_models_title_and_body_then_who_and_where() -> None:
    title, body = title_and_body(
        AGENT, "Sort orders by id\n\nTwo orders could share a time.", CREDITS
    )
    assert title == "Sort orders by id"
    assert body == (
        "Two orders could share a time.\n\n---\n"
        "Asked for by Ana Ortiz with Ben in "
        "[this Slack thread](https://slack.invalid/archives/C1/p1); made by an agent "
        "(anthropic/claude-3.5-sonnet, `k3f9ab`).\n\nTests: exit 0."
    )


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("# Sort orders", "Sort orders"),
        ("**Title:** Sort orders\n\nx", "Sort orders"),
        ('```\n"Sort orders"\n\nx\n```', "Sort orders"),
        ("", "fix the flaky test"),
        ("  \n ", "fix the flaky test"),
        ("x" * 500, "x" * 120),
    ],
)
def test_a_title_is_found_in_whatever_came(written: str, title: str) -> None:
    assert title_and_body(AGENT, written, CREDITS)[0] == title


def test_a_title_closes_nothing_even_where_it_was_code() -> None:
    title, _ = title_and_body(AGENT, "Say `fixes #12` to `@ana` only\n\nx", CREDITS)
    assert title == "Say 'fixes #\u200b12' to '@\u200bana' only"


def test_a_fence_left_open_swallows_nothing_of_ours() -> None:
    _, body = title_and_body(AGENT, "Sort orders\n\n~~~~ py\nx = 1\n~~~", CREDITS)
    assert body.startswith("~~~~ py\nx = 1\n~~~\n~~~~\n\n---\nAsked for by Ana Ortiz")


def test_words_that_grow_by_being_made_inert_stay_within_the_limit() -> None:
    _, body = title_and_body(AGENT, "Sort orders\n\n" + "<a@a" * 20_000, CREDITS)
    assert len(body) < 51_000


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_words_stay_within_the_limits(kind: str) -> None:
    text = HOSTILE[kind]
    title, body = title_and_body(AGENT, text, Credits(text, (text,), "", text))
    assert 0 < len(title) <= 120
    assert "\n" not in title
    assert not CONTROLS.search(title + body)
    assert not re.search(r"(?<![`\w/])@(?=channel\b)", title)
    assert len(body.encode(errors="strict")) > 0
    assert len(title_and_body(AGENT, text, CREDITS)[1]) < 65_536


def test_a_long_diff_is_cut_and_says_so() -> None:
    assert model_prompt(AGENT, "x" * (MAX_DIFF_CHARS + 1)).endswith("[the rest is left out]")
