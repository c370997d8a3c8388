"""Server-sent events in chunks of any cut."""

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from bot.bridge_client.events import EventSequence, SseFrame, SseFrames

STREAM = (
    b": hello\n\nid: 1\nevent: a\ndata: {}\n\nid:2\r\ndata:x\r\ndata: y\r\n\r\nretry: 5\n\ndata\r\r"
)
EXPECTED = [SseFrame("1", "a", b"{}"), SseFrame("2", "", b"x\ny"), SseFrame("", "", b"")]


def frames(*chunks: bytes, max_bytes: int = 1_000) -> list[SseFrame]:
    reader = SseFrames(max_bytes)
    return [frame for chunk in chunks for frame in reader.feed(chunk)]


def test_comments_line_ends_and_several_data_lines() -> None:
    assert frames(STREAM) == EXPECTED


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_a_cut_anywhere_changes_nothing(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert frames(*(STREAM[a:b] for a, b in pairwise(edges))) == EXPECTED


def test_a_frame_that_is_not_finished_is_not_given() -> None:
    assert frames(b"id: 1\ndata: x\n") == []


def test_many_lines_beyond_the_bound_lose_the_data_and_keep_the_number() -> None:
    chunks = [b"id: 7\n", *[b"data: " + b"x" * 100 + b"\n"] * 50, b"\ndata: y\n\n"]
    assert frames(*chunks) == [SseFrame("7", "", None), SseFrame("", "", b"y")]


@pytest.mark.parametrize("size", [1, 7, 4_096])
def test_one_endless_line_is_held_in_bounded_memory(size: int) -> None:
    reader = SseFrames(1_000)
    for _ in range(100_000 // size):
        assert list(reader.feed(b"x" * size)) == []
        assert len(reader._line) <= 1_100
    assert list(reader.feed(b"\n\ndata: y\n\n")) == [SseFrame("", "", None), SseFrame("", "", b"y")]


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_any_bytes_give_bounded_frames(chunks: list[bytes]) -> None:
    for frame in frames(*chunks, max_bytes=50):
        assert frame.data is None or len(frame.data) <= 50


@pytest.mark.parametrize(
    ("values", "kind"), [(b"[]", "later"), (b"[]" + b",[]" * 60_000, "invalid_event")]
)
def test_an_event_of_very_many_values_is_unreadable(values: bytes, kind: str) -> None:
    data = b'{"type": "later", "seq": 8, "at": 1.0, "more": [' + values + b"]}"
    event = EventSequence(7, max_invalid=1, max_gaps=1).take_frame(SseFrame("8", "", data))
    assert event is not None
    assert event.type == kind
