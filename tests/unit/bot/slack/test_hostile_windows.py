"""Text of others in the windows: it is shown as it is, it pings nobody, the limits hold."""

import json
import re
from typing import Any

import pytest

from bot.slack.views.modal import ModalLocation, ModalView, pieces
from playground.slack.rules import check_view
from tests.unit.bot.slack.posts import noted
from tests.unit.bot.slack.test_hostile_text import CONTROLS, HOSTILE, hostile, texts
from tests.unit.bot.slack.windows import windows


def mrkdwn(value: Any) -> list[str]:
    """What Slack reads as mrkdwn; the rest it shows literally."""
    if isinstance(value, list):
        return [text for item in value for text in mrkdwn(item)]
    if isinstance(value, dict):
        if value.get("type") == "mrkdwn":
            return [value["text"]]
        return [text for item in value.values() for text in mrkdwn(item)]
    return []


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_text_in_a_window(kind: str) -> None:
    for name, view in windows(hostile(HOSTILE[kind])).items():
        with noted(name):
            _check(view)


def _check(view: Any) -> None:
    check_view(json.loads(json.dumps(view)))
    json.dumps(view, ensure_ascii=False).encode()
    for text in texts(view):
        assert not CONTROLS.search(text)
    for text in mrkdwn(view):
        assert not re.search(r"<[!@#]", text)
        assert "<https://" not in text


@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_of_a_text_is_lost_in_its_pieces(kind: str) -> None:
    parts = pieces(HOSTILE[kind])
    assert all(0 < len(part) <= 2_900 for part in parts)
    shown = re.sub(r"\\u[0-9a-f]{4}", "", "".join(parts))
    plain = re.sub("[^ -~🤖]", "", HOSTILE[kind])
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", plain)


def test_what_nobody_would_see_is_made_visible() -> None:
    assert pieces("a\u202eb\u200bc\x1b[1m\ud800") == ["a\\u202eb\\u200bc\\u001b[1m\\ud800"]


@pytest.mark.parametrize(
    "value", ["", "{}", "[]", "k3f9ab:task", '{"shows":"x"}', "[" * 9_000, '{"page":1e400}']
)
def test_a_value_of_another_kind_leads_nowhere(value: str) -> None:
    assert ModalLocation.unpacked(value) is None


def test_a_place_comes_back_from_its_button() -> None:
    place = ModalLocation(ModalView.HUNKS, "k3f9ab", "k3f9ab-1", 3, "0" * 16)
    assert ModalLocation.unpacked(place.packed()) == place
