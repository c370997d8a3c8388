"""Text of others in every other place: private answers, errors, Home, forms, pull requests."""

import importlib
import inspect
import json
import pkgutil
import re
import sys
from collections.abc import Iterator
from types import CodeType, FrameType

import pytest

import bot.slack.views
from playground.slack.rules import check_view
from tests.unit.bot.slack.places import form_errors, pull, texts, views
from tests.unit.bot.slack.posts import Words, posts
from tests.unit.bot.slack.test_hostile_text import (
    CONTROLS,
    HOSTILE,
    OUR_TIMES,
    hostile,
    texts as texts_in,
)
from tests.unit.bot.slack.test_hostile_windows import mrkdwn
from tests.unit.bot.slack.windows import windows

OUR_DATES = re.compile(r"<!date\^\d+\^\{date_short\}\|then>")
OUR_PEOPLE = {"UANA", "UBEN"}
# Whatever GitHub would make something of outside of code.
REFERS = re.compile(r"(?<![\w/])[@#]\w|\bGH-\d", re.IGNORECASE)
CODE = re.compile(r"(```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]*`)", re.DOTALL)


def check_mrkdwn(text: str) -> None:
    assert not CONTROLS.search(text)
    left = OUR_DATES.sub("", OUR_TIMES.sub("", text))
    assert "<!" not in left
    assert set(re.findall(r"<@(\w*)", left)) <= OUR_PEOPLE
    assert "<https://evil" not in left


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_in_what_is_said_privately_or_in_a_line(kind: str) -> None:
    for name, text in texts(hostile(HOSTILE[kind])).items():
        assert text.strip(), name
        assert len(text) < 12_000, name
        check_mrkdwn(text)


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_in_the_home_tab_and_in_forms(kind: str) -> None:
    for view in views(hostile(HOSTILE[kind])).values():
        shown = json.loads(json.dumps(view))
        check_view(shown)
        for text in texts_in(shown):
            assert not re.search("[\x00-\x08\x0b-\x1f\ud800-\udfff]", text)
        for text in mrkdwn(shown):
            check_mrkdwn(text)


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_below_the_fields_of_a_form(kind: str) -> None:
    for name, text in form_errors(hostile(HOSTILE[kind])).items():
        assert text.strip(), name
        assert len(text) < 1_000, name
        # It is shown literally.
        assert text.count("&lt;") <= HOSTILE[kind].count("&lt;"), name
        assert not CONTROLS.search(text), name


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_in_a_pull_request(kind: str) -> None:
    title, body = pull(hostile(HOSTILE[kind]))
    assert title.strip()
    assert "\n" not in title
    assert len(title) <= 120
    assert len(body) < 65_536
    for text in (title, body):
        assert not CONTROLS.search(text)
        outside = "".join(CODE.split(text)[::2])
        assert not REFERS.search(outside)


def test_every_word_of_a_text_that_fits_is_there() -> None:
    words = Words(answer="one\n\ntwo", title="three")
    assert "one\n\ntwo" in pull(words)[1]
    assert "three" in texts(words)["list"]


def rendering() -> Iterator[tuple[str, CodeType]]:
    """What makes text or blocks in bot/slack/render, and is not there to read what comes back."""
    package = bot.slack.views
    for found in pkgutil.iter_modules(package.__path__):
        module = importlib.import_module(f"{package.__name__}.{found.name}")
        owners = [module, *(c for _, c in inspect.getmembers(module, inspect.isclass))]
        for owner in owners:
            for name, function in inspect.getmembers(owner, inspect.isfunction):
                made_here = function.__module__ == module.__name__
                reads = name.startswith(("_", "read_")) or name in READERS
                if made_here and not reads:
                    yield f"{found.name}.{function.__qualname__}", function.__code__


# They take apart what Slack sends, or make no text: a picture, a table of a spreadsheet, a number.
READERS = {
    "place_of", "ref_of_button", "plain", "usage_chart", "usage_csv", "unpacked", "packed",
    "ranking", "fallback", "chosen_model",
}  # fmt: skip


def test_the_tables_of_hostile_text_hold_every_place() -> None:
    wanted = dict(rendering())
    assert len(wanted) > 50
    called: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(frame.f_code)

    words = Words()
    sys.setprofile(note)
    try:
        for make in (posts, windows, texts, views, form_errors, pull):
            make(words)
    finally:
        sys.setprofile(None)
    assert [name for name, code in wanted.items() if code not in called] == []
