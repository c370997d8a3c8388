from typing import Any

import pytest
from hypothesis import given, strategies as st

from bridge.model.limits import Meter, ModelLimits, cut_before, limits_of, read_limits, size_of

SYSTEM = {"role": "system", "content": "s"}


def conversation_of(roles: str) -> list[dict[str, Any]]:
    names = {"u": "user", "a": "assistant", "t": "tool"}
    return [SYSTEM, *({"role": names[role], "content": "x" * 80} for role in roles)]


def cut(roles: str, keep_bytes: int, first: int = 1) -> int | None:
    messages = conversation_of(roles)
    return cut_before(messages, [100] * len(messages), first, keep_bytes)


@pytest.mark.parametrize(
    ("roles", "keep_bytes", "expected"),
    [
        ("u", 0, None),
        ("ua", 0, 2),
        ("uatat", 0, 4),
        ("uatat", 300, 4),
        ("uatat", 400, 2),
        ("uatat", 10_000, 2),
        ("uatttt", 0, 2),
        ("uatatu", 0, 4),
        ("uauauau", 450, 4),
        ("", 0, None),
    ],
)
def test_where_a_conversation_is_cut(roles: str, keep_bytes: int, expected: int | None) -> None:
    assert cut(roles, keep_bytes) == expected


@given(st.text("uat", max_size=40), st.integers(0, 5_000), st.integers(1, 10))
def test_a_cut_never_parts_a_call_from_its_result(roles: str, keep: int, first: int) -> None:
    messages = conversation_of("u" + roles.lstrip("t"))
    place = cut_before(messages, [100] * len(messages), first, keep)
    if place is not None:
        assert first < place < len(messages)
        assert messages[place]["role"] != "tool"


def test_the_meter_begins_with_a_guess_and_goes_on_from_what_was_counted() -> None:
    meter = Meter()
    assert meter.estimate(3_000) == 1_001
    meter.add_count(500, 2_000)
    assert meter.estimate(2_000) == 501
    assert meter.estimate(2_300) == 601  # what was added is guessed on the safe side
    meter.forget()
    assert meter.estimate(1_000) == 251
    meter.add_count(0, 5_000)  # a provider that counts nothing says nothing
    assert meter.estimate(1_000) == 251


@pytest.mark.parametrize(
    ("words", "estimate", "context"),
    [
        ("maximum context length is 8192 tokens. However", 50_000, 8_192),
        ("prompt is too long: 250000 tokens > 200000 maximum", 250_000, 128_000),
        ("This model has a context window of 16,385 tokens", 50_000, 16_385),
        ("input is too long", 40_000, 38_000),
        ("maximum context length is 12 tokens", 40_000, 38_000),
        ("", 100, 2_048),
    ],
)
def test_what_an_overflow_teaches(words: str, estimate: int, context: int) -> None:
    limits = ModelLimits().after_overflow(words, estimate)
    assert limits.context_tokens == context
    assert limits.prompt_tokens > 0


@given(st.integers(2_048, 10_000_000), st.integers(1, 10_000_000))
def test_prompt_and_answer_always_fit_together(context: int, output: int) -> None:
    limits = ModelLimits(context, output)
    assert 0 < limits.prompt_tokens <= context * 0.8
    assert limits.result_chars <= limits.step_chars


def test_the_limits_in_a_providers_list() -> None:
    answer = {
        "data": [
            {
                "id": "acme/big",
                "context_length": 200_000,
                "top_provider": {"context_length": 100_000, "max_completion_tokens": 8_000},
            },
            {"id": "local/one", "max_model_len": 4_096, "top_provider": None},
            {"id": "acme/silent"},
            {"id": "acme/odd", "context_length": "many", "top_provider": []},
            {"id": "acme/true", "context_length": True},
            {"id": "acme/negative", "context_length": -5},
            {"id": 7, "context_length": 5},
            "x",
            None,
        ]
    }
    listed = read_limits(answer)
    assert listed == {
        "acme/big": ModelLimits(100_000, 8_000),
        "local/one": ModelLimits(4_096, 4_096),
    }
    assert limits_of("acme/big:nitro", listed) == listed["acme/big"]
    assert limits_of("acme/other", listed) is None


@pytest.mark.parametrize("answer", [None, [], "x", {}, {"data": {}}, {"data": None}])
def test_a_list_of_any_shape_does_no_harm(answer: object) -> None:
    assert read_limits(answer) == {}


def test_sizes_are_those_on_the_wire() -> None:
    assert size_of({"content": "ü"}) == len('{"content": "ü"}'.encode())
    size_of({"content": "\ud83d"})
