"""The posts as they were looked at and found good. GOLDEN=rewrite writes them anew."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bot.domain.posts import Post, PostKind
from bot.domain.secret import SecretEntry, SecretKind, SecretRef, SecretScope
from bot.slack.render.form import start_form
from bot.slack.render.secrets import secret_form, secrets_list
from playground.slack.rules import check_blocks, check_view
from tests.unit.bot.slack.posts import Words, posts
from tests.unit.bot.slack.windows import windows

GOLDEN = Path(__file__).parents[3] / "golden"
POSTS = posts(Words())
ENTRIES = [
    SecretEntry(SecretRef("T1", scope, owner, kind, name), kind is SecretKind.VARIABLE, "UANA", 9.0)
    for scope, owner, kind, name in (
        (SecretScope.USER, "UANA", SecretKind.MODEL_KEY, ""),
        (SecretScope.REPOSITORY, "acme/api", SecretKind.GIT_TOKEN, ""),
        (SecretScope.CHANNEL, "C1", SecretKind.VARIABLE, "NPM_TOKEN"),
        (SecretScope.DEPLOYMENT, "", SecretKind.VARIABLE, "X" * 64),
    )
]
VIEWS: dict[str, dict[str, Any]] = {
    "secrets_list": secrets_list(ENTRIES, "C1"),
    "secrets_list_empty": secrets_list([], "C1"),
    "secret_form": secret_form("C1", admin=False),
    "secret_form_of_an_admin": secret_form("C1", admin=True),
    **windows(Words()),
}
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


@pytest.mark.parametrize("name", VIEWS)
def test_a_modal_looks_as_it_was_found_good_and_slack_accepts_it(name: str) -> None:
    shown = json.dumps(VIEWS[name], indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    path = GOLDEN / "views" / f"{name}.json"
    if REWRITE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(shown)
    assert path.read_text() == shown
    check_view(VIEWS[name])


def test_a_list_of_many_secrets_is_what_slack_accepts() -> None:
    check_view(secrets_list(ENTRIES * 100, "C1"))


def test_the_form_is_what_slack_accepts() -> None:
    check_view(start_form("C1"))
