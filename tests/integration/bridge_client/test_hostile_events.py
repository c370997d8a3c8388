"""Whatever a bridge sends as an event: what the bot stores of it, the bot can read again."""

import json
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pydantic import ValidationError

from bot.bridge_client.events import EventSequence, SseFrame, SseFrames
from bot.bridge_client.redaction import hidden_event
from bot.domain.agent import Agent
from bot.redaction import Redactor
from bot.store.agents import SqlStore
from bridge.protocol import (
    KNOWN_EVENTS,
    MAX_FRAME_BYTES,
    AgentEvent,
    Event,
    UnknownEvent,
    kind_of,
)
from bridge.state.event_log import EventLog
from tests.integration.store.conftest import MakeAgent, make_agent, store

__all__ = ["make_agent", "store"]

GOLDEN = Path(__file__).parents[2] / "golden" / "events"
BODIES: list[dict[str, Any]] = [json.loads(path.read_text()) for path in sorted(GOLDEN.iterdir())]
KINDS = {kind_of(event): event for event in KNOWN_EVENTS}
IDS = count(1)
HIDE = Redactor(["canary-stored-value"])
# Each at the place of a golden event's value.
HOSTILE = st.one_of(
    st.sampled_from(
        [
            float("nan"), float("inf"), float("-inf"), 10**400, -(10**400), 2**63, 2**31, -1, 1e300,
            "sk-or-abcdefgh12345678", "canary-stored-value", "\0", "\ud800", "x" * 300_000, "",
            None, True, [], {}, [[]] * 5_000, {"a": {"b": float("nan")}},
        ]
    ),
    st.floats(), st.integers(), st.text(max_size=80),
    st.recursive(st.none() | st.floats() | st.text(max_size=9), st.lists, max_leaves=9),
)  # fmt: skip
NESTED = '{"seq": 1, "type": "of_the_future", "deep": ' + "[" * 190 + "]" * 190 + "}"


@st.composite
def hostile_bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A golden event with a few values exchanged, at any depth, or with new fields."""
    body: dict[str, Any] = json.loads(json.dumps(draw(st.sampled_from(BODIES))))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = body
        while True:
            key = draw(st.sampled_from(sorted(place))) if isinstance(place, dict) else 0
            inner = place[key]
            if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
                break
            place = inner
        place[key] = draw(HOSTILE)
    if draw(st.booleans()):
        body[draw(st.text(max_size=9))] = draw(HOSTILE)
    return body


def taken(frames: Sequence[SseFrame]) -> list[AgentEvent]:
    """The events that the bot takes from these frames, without secrets."""
    sequence = EventSequence(0, max_invalid=1_000, max_gaps=1_000)
    events = [sequence.take_frame(frame) for frame in frames]
    return [hidden_event(event, HIDE) for event in events if event is not None]


async def stored(
    store: SqlStore, agent: Agent, events: Sequence[AgentEvent]
) -> Sequence[AgentEvent]:
    """The numbered events as they come back from the store; none of them is unreadable."""
    async with store.transaction() as tx:
        await tx.add_agent(agent)
        await tx.add_events(agent.id, events)
    read = await store.events(agent.id)
    assert store.unreadable_events(agent.id) == 0
    assert [event.seq for event in read] == [event.seq for event in events if event.seq]
    return read


EXAMPLES = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@EXAMPLES
@given(body=hostile_bodies())
async def test_what_the_bot_takes_from_a_bridge_it_reads_again(
    store: SqlStore, make_agent: MakeAgent, body: dict[str, Any]
) -> None:
    data = json.dumps(body | {"seq": 1}).encode()
    events = taken(list(SseFrames(MAX_FRAME_BYTES).feed(b"id: 1\ndata: " + data + b"\n\n")))
    assert len(events) == 1
    await stored(store, make_agent(f"a{next(IDS)}"), events)


@EXAMPLES
@given(body=hostile_bodies())
async def test_what_the_bridge_records_the_bot_reads_or_the_bridge_refuses_it(
    store: SqlStore, make_agent: MakeAgent, tmp_path: Path, body: dict[str, Any]
) -> None:
    kind = KINDS.get(str(body.get("type")))
    if kind is None:
        return
    try:
        event = kind.model_validate(body)
    except ValidationError:
        return  # before anything is written
    number = next(IDS)
    log = EventLog(tmp_path / f"{number}.jsonl")
    try:
        recorded = await log.record(event)
        with log.follow(0) as follower:
            frames = await follower.next(5.0)
    finally:
        log.close()
    replayed: list[Event] = []
    EventLog(tmp_path / f"{number}.jsonl", replayed.append).close()
    sent = [SseFrame(str(frame.seq), frame.kind, frame.data.encode()) for frame in frames]
    events = taken(sent)
    assert not any(isinstance(event, UnknownEvent) for event in replayed)
    assert [type(event) for event in replayed] == [kind]
    assert len(events) == 1
    if recorded == event.model_copy(update={"seq": 1}):  # nothing in it was too long to send
        assert replayed == [recorded]
    await stored(store, make_agent(f"a{number}"), events)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "1" + "0" * 400])
async def test_an_event_without_a_number_is_set_aside_and_the_next_one_counts(
    store: SqlStore, make_agent: MakeAgent, number: str
) -> None:
    check = (GOLDEN / "check_recorded.json").read_text().replace("6.2", number)
    step = (GOLDEN / "step_started.json").read_text().replace('"seq": 5', '"seq": 2')
    check = json.dumps(json.loads(check) | {"seq": 1})
    events = taken([SseFrame("1", "", check.encode()), SseFrame("2", "", step.encode())])
    read = await stored(store, make_agent(), events)
    assert [event.type for event in read] == ["invalid_event", "step_started"]


async def test_an_event_that_no_reader_understands_is_kept_as_deep_as_it_is(
    store: SqlStore, make_agent: MakeAgent
) -> None:
    events = taken([SseFrame("1", "", NESTED.encode())])
    assert await stored(store, make_agent(), events) == events


async def test_an_identifier_that_looks_like_a_secret_is_not_stored_as_something_unreadable(
    store: SqlStore, make_agent: MakeAgent
) -> None:
    body = json.loads((GOLDEN / "question_asked.json").read_text())
    body |= {"seq": 1, "question_id": "sk-or-abcdefgh12345678"}
    events = taken([SseFrame("1", "", json.dumps(body).encode())])
    read = await stored(store, make_agent(), events)
    assert [event.type for event in read] == ["invalid_event"]
