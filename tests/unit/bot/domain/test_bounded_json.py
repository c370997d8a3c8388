"""JSON of strangers: what is read, what is refused before it is parsed, and what that costs."""

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from bot.domain.bounded_json import (
    MAX_JSON_DEPTH,
    MAX_JSON_VALUES,
    CostlyJsonError,
    check_json,
    parse_json,
)
from tests.hostile.growth import TIMES_SLOWER, growth

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='a"\\[]{},:\u20ac'),
    lambda children: st.lists(children) | st.dictionaries(st.text(max_size=5), children),
    max_leaves=10,
)


def nested(depth: int) -> bytes:
    return b"[" * depth + b" " * MAX_JSON_DEPTH + b"]" * depth


@given(VALUES)
def test_what_is_within_the_bounds_is_read(value: Any) -> None:
    assert parse_json(json.dumps(value).encode()) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


def test_text_counts_as_one_value_whatever_is_in_it() -> None:
    text = '[{,"\\' * MAX_JSON_VALUES
    assert parse_json(json.dumps([text]).encode()) == [text]


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"[]," * MAX_JSON_VALUES + b"[]]",
        b"[" + b"{}," * MAX_JSON_VALUES + b"{}]",
        b"[" + b"1," * MAX_JSON_VALUES + b"1]",
        b"[" + b'"",' * MAX_JSON_VALUES + b'""]',
        b'["' + b'""' * 4 * MAX_JSON_VALUES + b'"]',
        # What looks like the end of a text is part of it, and the other way round.
        b'["\\\\",' + b"[]," * MAX_JSON_VALUES + b"[]]",
        b'["\\\\\\"",' + b"[]," * MAX_JSON_VALUES + b"[]]",
        b"[" + b"1" * 4_000 + (b"," + b"1" * 4_000) * 300 + b"]",
        nested(MAX_JSON_DEPTH + 1),
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_costs_too_much_is_refused(body: bytes) -> None:
    with pytest.raises(CostlyJsonError):
        check_json(body)
    with pytest.raises(CostlyJsonError):
        parse_json(body)


def test_the_greatest_depth_is_read() -> None:
    assert parse_json(nested(MAX_JSON_DEPTH))


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", '["\u20ac"]'.encode("utf-16"), b"[1" * 50])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_json(body)


@pytest.mark.parametrize("piece", [b"[],", b"\\", b'\\"', b'""', b'"",', b"[", b"}", b"1,", b" "])
def test_the_time_grows_as_the_body_does(piece: bytes) -> None:
    def check(body: bytes) -> None:
        try:
            parse_json(body)
        except ValueError:
            return

    def body_of(size: int) -> bytes:
        return b"[" + piece * (size // len(piece)) + b"1]"

    assert growth(check, body_of, 20_000) < TIMES_SLOWER
