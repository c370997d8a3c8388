"""Usage, read from a stream that is torn anywhere and may hold anything."""

import itertools
import json

import pytest
from hypothesis import given, strategies as st

from bot.gateway.model.usage import UsageReader, usage_in

USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "cost": 0.001}
STREAM = (
    b": OPENROUTER PROCESSING\n\n"
    b'data: {"id":"gen-1","choices":[{"delta":{"content":"\\"usage\\": {}"}}]}\r\n\r\n'
    b"event: x\ndata:" + json.dumps({"choices": [], "usage": USAGE}).encode() + b"\n\n"
    b"data: [DONE]\n\n"
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_it_is_found_wherever_the_stream_is_torn(cuts: list[int]) -> None:
    reader = UsageReader()
    places = sorted({0, *cuts, len(STREAM)})
    for start, end in itertools.pairwise(places):
        reader.feed(STREAM[start:end])
    assert reader.done
    assert reader.usage
    assert (reader.usage.prompt_tokens, reader.usage.cost_nano) == (5, 1_000_000)


@given(st.lists(st.binary(max_size=80), max_size=10))
def test_any_bytes_are_read_without_an_error(pieces: list[bytes]) -> None:
    reader = UsageReader()
    for piece in pieces:
        reader.feed(b'data: {"usage"' + piece)


def test_an_endless_line_is_passed_over_and_what_follows_is_read() -> None:
    reader = UsageReader()
    for _ in range(40):
        reader.feed(b"x" * 65_536)
        assert len(reader._line) <= 1024 * 1024
    reader.feed(b"\n" + STREAM)
    assert reader.usage


@pytest.mark.parametrize(
    "usage",
    [None, [], "x", {}, {"cost": "1"}, {"cost": True}, {"cost": -0.1}, {"cost": 1e300},
     {"prompt_tokens": -1, "completion_tokens": 2.5}, {"prompt_tokens_details": [],
      "is_byok": True, "cost": None}],
)  # fmt: skip
def test_nonsense_is_not_believed(usage: object) -> None:
    totals = usage_in(json.dumps({"usage": usage}).encode())
    if totals is not None:
        assert totals.cost_nano is None
        assert (totals.prompt_tokens, totals.completion_tokens) == (None, None)
