"""The posts as they were looked at and found good. GOLDEN=rewrite writes them anew."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from bot.domain.posts import Post, PostKind
from bot.slack.render.form import start_form
from playground.slack.rules import check_blocks, check_view
from tests.unit.bot.slack.posts import Words, posts

GOLDEN = Path(__file__).parents[3] / "golden"
POSTS = posts(Words())
REWRITE = os.environ.get("GOLDEN") == "rewrite"


@pytest.mark.parametrize("name", POSTS)
def test_a_post_looks_as_it_was_found_good(name: str) -> None:
    shown = json.dumps(asdict(POSTS[name]), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    path = GOLDEN / f"{name}.json"
    if REWRITE:
        path.write_text(shown)
    assert path.read_text() == shown


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(POSTS)


@pytest.mark.parametrize("name", POSTS)
def test_a_post_is_what_slack_accepts(name: str) -> None:
    accepts(POSTS[name])


def accepts(post: Post) -> None:
    if post.kind is PostKind.MESSAGE:
        assert post.payload["text"].strip()
        check_blocks(post.payload["blocks"])


def test_the_form_is_what_slack_accepts() -> None:
    check_view(start_form("C1"))
