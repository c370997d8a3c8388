"""Records of real sessions, run again: they come out as they were, and a changed one does not."""

import asyncio
import json
from pathlib import Path

import pytest

from bridge.config import BridgeSettings
from bridge.errors import ModelError
from bridge.model.client import ModelRequest
from bridge.model.response import CallUsage, ModelTurn
from bridge.protocol import (
    AgentEvent,
    ErrorCode,
    MessageTakenUp,
    MessageWritten,
    Outcome,
    parse_event,
)
from bridge.replay.__main__ import Replay, main, replay
from bridge.replay.recording import recorded_tasks
from tests.integration.session.conftest import (
    Half,
    HangingStep,
    OpenSession,
    Step,
    calls,
    message,
    says,
    task,
)

DOWN = ModelError(ErrorCode.MODEL_UNAVAILABLE, "down", retryable=True)
TOO_LONG = ModelError(ErrorCode.CONTEXT_OVERFLOW, "too long")
WRITE = {"path": "new.txt", "content": "one\n"}
USED = CallUsage(prompt_tokens=100, completion_tokens=5, cached_tokens=90, cost_usd=0.25)


def reading(number: int) -> ModelTurn:
    return calls("read_file", {"path": "./" * number + "README.md"}, "I look. " * 200)


SCENARIOS: dict[str, tuple[Step, ...]] = {
    "work": (
        calls("read_file", {"path": "README.md"}, text="Let me look."),
        calls("write_file", WRITE),
        calls("run_command", {"command": ["git", "status"]}),
        says("Done.", usage=USED, reasoning="Hm."),
    ),
    "bad calls": (calls("no_such_tool", {}), calls("read_file", "{torn"), says("Done.")),
    "a cut answer": (says("One, ", cut_off=True), says("two.")),
    "retries": (DOWN, DOWN, calls("list_directory", {}), DOWN, says("Done.")),
    "a final failure": (calls("list_directory", {}), DOWN, DOWN, DOWN),
    "half an answer": (
        calls("list_directory", {}),
        Half("I am", DOWN),
        Half("I", DOWN),
        Half("I w", DOWN),
    ),
    "circles": tuple(calls("read_file", {"path": "README.md"}) for _ in range(6)),
    "a summary": (*(reading(n) for n in range(6)), TOO_LONG, says("Summary."), says("Done.")),
    "the last step": tuple(calls("read_file", {"path": f"{n}"}) for n in range(7)),
}


async def recorded(
    open_session: OpenSession, steps: tuple[Step, ...], max_steps: int = 15
) -> list[AgentEvent]:
    async with open_session(*steps) as running:
        await running.session.execute(task(max_steps=max_steps))
        events: list[AgentEvent] = await running.finished("t1")
    return events


@pytest.mark.parametrize("steps", SCENARIOS.values(), ids=SCENARIOS)
async def test_a_replay_comes_out_as_recorded(
    open_session: OpenSession, steps: tuple[Step, ...]
) -> None:
    events = await recorded(open_session, steps, max_steps=7)
    lines: list[str] = []
    assert await replay(events, lines.append), lines
    again: list[str] = []
    assert await replay(events, again.append)
    assert lines == again
    assert lines[-1] == "1 tasks, 1 as recorded"


async def test_a_task_with_fallbacks_steering_and_an_interruption(
    open_session: OpenSession, settings: BridgeSettings
) -> None:
    hang = HangingStep()

    async def interjects(_request: ModelRequest) -> ModelTurn:
        await running.session.chat(message(1, model="other/model"))
        return calls("list_directory", {})

    steps = (DOWN, DOWN, DOWN, interjects, says("Done."), calls("list_directory", {}), hang)
    with_fallback = settings.model_copy(update={"fallback_models": ("second/model",)})
    async with open_session(*steps, settings=with_fallback) as running:
        await running.session.execute(task())
        await running.finished("t1")
        await running.session.chat(message(2))
        await hang.reached.wait()
        await running.session.interrupt()
        events = await running.finished("r2")
    assert events[-1].outcome is Outcome.INTERRUPTED
    lines: list[str] = []
    assert await replay(events, lines.append), lines
    assert lines[-1] == "2 tasks, 2 as recorded"


async def test_what_people_said_meanwhile_reaches_the_model_again(
    open_session: OpenSession, tmp_path: Path
) -> None:
    async def interjects(_request: ModelRequest) -> ModelTurn:
        await running.session.chat(message(1, text="use tabs"))
        await running.session.chat(message(2, text="and a test"))
        return calls("list_directory", {})

    async def answers(request: ModelRequest) -> ModelTurn:
        asked.extend(dict(entry) for entry in request.messages[1:])
        return says("Done.")

    asked: list[dict[str, object]] = []
    async with open_session(interjects, answers) as running:
        await running.session.execute(task())
        events: list[AgentEvent] = await running.finished("t1")
    printed: list[str] = []
    again = Replay(tmp_path, printed.append)
    try:
        (recorded_task,) = recorded_tasks(events)
        assert await again.run(recorded_task), printed
    finally:
        again.close()
    assert [line.strip() for line in printed if "hears" in line] == [
        "hears: use tabs",
        "hears: and a test",
    ]
    lines = (tmp_path / "conversation.jsonl").read_text().splitlines()
    written = [json.loads(line) for line in lines]
    heard = [entry["message"] for entry in written if entry["message"]["role"] == "user"]
    assert heard == [entry for entry in asked if entry["role"] == "user"]


async def test_a_record_of_an_earlier_bridge_has_no_words_and_is_replayed(
    open_session: OpenSession,
) -> None:
    async def interjects(_request: ModelRequest) -> ModelTurn:
        await running.session.chat(message(1, text="use tabs"))
        return calls("list_directory", {})

    async with open_session(interjects, says("Done.")) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
    old = [
        event.model_copy(update={"text": ""}) if isinstance(event, MessageTakenUp) else event
        for event in events
    ]
    assert await replay(old, lambda _: None)


def changed(event: AgentEvent) -> AgentEvent:
    is_final = isinstance(event, MessageWritten) and event.final
    return event.model_copy(update={"final": False}) if is_final else event


async def test_a_record_that_the_loop_would_not_make_differs(open_session: OpenSession) -> None:
    events = [changed(event) for event in await recorded(open_session, SCENARIOS["work"])]
    lines: list[str] = []
    assert not await replay(events, lines.append)
    assert any("differs from the record" in line for line in lines)


async def test_half_a_record_is_replayed_to_its_end(open_session: OpenSession) -> None:
    events = await recorded(open_session, SCENARIOS["work"])
    for length in range(len(events)):
        lines: list[str] = []
        assert await replay(events[:length], lines.append), (events[:length], lines)


async def test_the_command_reads_a_file_of_events(
    open_session: OpenSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events = await recorded(open_session, SCENARIOS["work"])
    path = tmp_path / "events.jsonl"
    path.write_text("".join(event.model_dump_json() + "\n" for event in events))
    assert [parse_event(line) for line in path.read_text().splitlines()] == events
    assert await asyncio.to_thread(main, [str(path)]) == 0
    output = capsys.readouterr().out
    assert "step 1 of 15" in output
    assert "read_file README.md: ok" in output
    assert "says: Done." in output


@pytest.mark.parametrize("content", ["no json", json.dumps({"seq": 1}), '{"type": "task_started"}'])
def test_a_file_that_is_no_record_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text(content)
    assert main([str(path)]) in (0, 2)
    assert main([]) == 2
    assert main([str(tmp_path / "none")]) == 2
