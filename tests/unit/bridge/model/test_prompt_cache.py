import copy
from typing import Any

import pytest

from bridge.model.prompt_cache import marked, needs_marks


def message(role: str, content: object = "x") -> dict[str, Any]:
    return {"role": role, "content": content}


def marked_positions(messages: list[dict[str, Any]]) -> list[int]:
    before = copy.deepcopy(messages)
    messages_with_marks = marked(messages)
    assert messages == before
    return [
        position
        for position, message in enumerate(messages_with_marks)
        if isinstance(message["content"], list) and message["content"][0]["cache_control"]
    ]


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ("", []),
        ("s", [0]),
        ("su", [0, 1]),
        ("suat", [0, 1, 3]),
        ("suatt", [0, 1, 4]),
        ("suattat", [0, 4, 6]),
        ("suauua", [0, 1, 4]),
        ("uat", [0, 2]),
    ],
)
def test_the_marks_stand_where_a_request_ended(roles: str, expected: list[int]) -> None:
    names = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    assert marked_positions([message(names[role]) for role in roles]) == expected


@pytest.mark.parametrize("content", [None, "", [{"type": "text", "text": "x"}]])
def test_what_holds_no_plain_text_is_left_alone(content: object) -> None:
    messages = [message("user", content)]
    assert marked(messages) == messages


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("anthropic/claude-3.5-sonnet", True),
        ("someone/claude-copy", True),
        ("openai/gpt-4o", False),
        ("@preset/mine", False),
    ],
)
def test_which_models_need_marks(model: str, expected: bool) -> None:
    assert needs_marks(model) is expected
