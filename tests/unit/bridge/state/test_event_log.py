import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.protocol import (
    MAX_FRAME_BYTES,
    Event,
    FileChange,
    FilesChanged,
    MessageWritten,
    StepStarted,
    TextDelta,
    ToolFinished,
    parse_event,
)
from bridge.state.event_log import EventFrame, EventLog


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    log = EventLog(tmp_path / "events.jsonl")
    yield log
    log.close()


def step(number: int) -> StepStarted:
    return StepStarted(task_id="t", step=number, max_steps=9)


def seqs(frames: list[EventFrame]) -> list[int]:
    return [frame.seq for frame in frames]


async def test_numbers_are_gapless_across_a_restart_and_observed_once(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    await log.record(step(1))
    await log.record(MessageWritten(task_id="t", text="hello", final=True))
    log.close()
    seen: list[Event] = []
    log = EventLog(path, seen.append)
    await log.record(step(2))
    assert [event.seq for event in seen] == [1, 2, 3]
    with log.follow(1) as follower:
        assert seqs(await follower.next(1.0)) == [2, 3]
    log.close()


async def test_a_follower_wakes_when_something_comes(log: EventLog) -> None:
    with log.follow(0) as follower:
        waiting = asyncio.create_task(follower.next(10.0))
        await asyncio.sleep(0)
        await log.record(step(1))
        assert seqs(await waiting) == [1]
        assert await follower.next(0.01) == []


async def test_passing_events_come_between_the_stored_ones_they_came_between(
    log: EventLog,
) -> None:
    with log.follow(0) as follower:
        await log.record(step(1))
        log.broadcast(TextDelta(task_id="t", text="a"))
        log.broadcast(TextDelta(task_id="t", text="b"))
        await log.record(step(2))
        log.broadcast(TextDelta(task_id="t", text="c"))
        frames = await follower.next(1.0)
    assert [frame.seq or json.loads(frame.data)["text"] for frame in frames] == [
        1,
        "a",
        "b",
        2,
        "c",
    ]


async def test_the_slow_miss_passing_events_and_no_stored_one(log: EventLog) -> None:
    with log.follow(0) as follower:
        for number in range(1, 2_001):
            log.broadcast(TextDelta(task_id="t", text="x" * 1_000))
            if number % 100 == 0:
                await log.record(step(number))
        assert log._passing_bytes <= 262_144
        frames: list[EventFrame] = []
        while batch := await follower.next(0.05):
            frames += batch
    assert [frame.seq for frame in frames if frame.seq] == list(range(1, 21))
    assert sum(not frame.seq for frame in frames) < 300


async def test_nothing_is_kept_for_nobody(log: EventLog) -> None:
    log.broadcast(TextDelta(task_id="t", text="x"))
    assert not log._passing


async def test_large_backlogs_come_in_batches(log: EventLog) -> None:
    for _ in range(30):
        await log.record(MessageWritten(task_id="t", text="x" * 50_000, final=False))
    with log.follow(0) as follower:
        sizes = []
        while batch := await follower.next(0.05):
            sizes.append(len(batch))
    assert sum(sizes) == 30
    assert max(sizes) <= 6


@pytest.mark.parametrize(
    "event",
    [
        MessageWritten(text="\0" * 200_000, final=True),
        FilesChanged(
            files=tuple(FileChange(path=f"{n}{'x' * 4_000}", status="added") for n in range(5_000))
        ),
        ToolFinished(
            call_id="c", tool="t", target="", ok=True, summary="", duration_seconds=0.1,
            result="", files_touched=tuple(f"{n}{'x' * 4_000}" for n in range(1_000)),
        ),
    ],
)  # fmt: skip
async def test_an_event_that_is_too_large_is_cut_to_fit_a_frame(
    log: EventLog, event: Event
) -> None:
    await log.record(event)
    with log.follow(0) as follower:
        (frame,) = await follower.next(1.0)
    assert len(frame.data.encode()) < MAX_FRAME_BYTES
    assert parse_event(frame.data).type == frame.kind


async def test_closing_ends_the_followers(log: EventLog) -> None:
    with log.follow(0) as follower:
        waiting = asyncio.create_task(follower.next(10.0))
        await asyncio.sleep(0)
        log.close()
        assert await waiting == []


async def test_a_line_of_an_earlier_bridge_that_cannot_be_read_does_not_end_this_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    await log.record(step(1))
    log.close()
    with path.open("a") as file:
        file.write('{"seq":2,"type":"step_started","task_id":"t","step":null,"max_steps":9}\n')
    seen: list[Event] = []
    log = EventLog(path, seen.append)
    await log.record(step(3))
    assert [(event.seq, event.model_dump()["type"]) for event in seen] == [
        (1, "step_started"),
        (2, "invalid_event"),
        (3, "step_started"),
    ]
    log.close()
