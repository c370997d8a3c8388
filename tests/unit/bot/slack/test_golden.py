"""The posts as they were looked at and found good. GOLDEN=rewrite writes them anew."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from bot.domain.agent import (
    AgentStatus,
    RepoRef,
    SecretScope,
)
from bot.domain.posts import Post, PostKind
from bot.domain.preferences import Preferences
from bot.domain.secrets import (
    SecretEntry,
    SecretKind,
    SecretRef,
)
from bot.slack.views.home import closed_view, defaults_form, home_view
from bot.slack.views.secrets import secret_form, secrets_list
from bot.slack.views.start_form import Draft, FormLocation, start_form
from playground.slack.rules import check_blocks, check_view
from tests.unit.bot.slack.posts import Words, agent_of, posts
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
URL = "https://playground.invalid/"
AGENT = agent_of(Words())
ENDED = AGENT.with_status(AgentStatus.STOPPED, 9.0)
VIEWS: dict[str, dict[str, Any]] = {
    "start_form": start_form(FormLocation("C1"), Draft()),
    "start_form_of_a_message": start_form(
        FormLocation("C1", "1700000000.000100"),
        Draft("Login is broken", "acme/api", "openai/gpt-5", listed=True),
    ),
    "home": home_view([AGENT, ENDED], Preferences(RepoRef("acme", "api")), "acme/m", URL),
    "home_of_nobody_yet": home_view([], Preferences(), "acme/m", URL),
    "home_closed": closed_view("Guests cannot use agents here."),
    "home_defaults": defaults_form(Preferences(RepoRef("acme", "api"), "openai/gpt-5")),
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
        check_blocks(post.payload.get("plain", []))


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


def test_a_home_of_many_agents_with_hostile_titles_is_what_slack_accepts() -> None:
    hostile = agent_of(Words("<!channel> \u202e*_~`&<@U1>" * 100))
    ended = [hostile.with_status(AgentStatus.FAILED, 9.0)] * 60
    view = home_view([hostile] * 60 + ended, Preferences(), "m" * 200, URL)
    check_view(view)
    assert "<!channel>" not in str(view)


def test_a_form_of_hostile_text_is_what_slack_accepts() -> None:
    hostile = "<!channel> \u202e`*_~&<@U1>" * 2_000
    check_view(start_form(FormLocation("C1"), Draft(hostile, "a/" + "b" * 100, "m" * 500)))
    check_view(start_form(FormLocation("C1"), Draft("", "a" * 39 + "/" + "b" * 100, listed=True)))
