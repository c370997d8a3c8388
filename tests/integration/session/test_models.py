"""What a session makes of its models: fallbacks, a change, circles, cut answers, long results."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.config import BridgeSettings
from bridge.errors import ModelError
from bridge.model.client import ModelRequest
from bridge.model.limits import ModelLimits
from bridge.model.response import ModelTurn
from bridge.protocol import (
    AgentEvent,
    ContextCompacted,
    ErrorCode,
    MessageWritten,
    ModelChanged,
    Outcome,
    SavedConversation,
    TaskFinished,
    ToolFinished,
    WorkspaceRequest,
)
from tests.integration.session.conftest import (
    Half,
    OpenSession,
    RunningSession,
    calls,
    message,
    says,
    task,
)

DOWN = ModelError(ErrorCode.MODEL_UNAVAILABLE, "down", retryable=True)
UNKNOWN = ModelError(ErrorCode.MODEL_NOT_FOUND, "no such model")
TOO_LONG = ModelError(
    ErrorCode.CONTEXT_OVERFLOW, "too long", provider_text="context length is 9000 tokens"
)


def changes(events: list[AgentEvent]) -> list[tuple[str, str, str]]:
    return [
        (event.previous, event.model, event.error.code if event.error else "")
        for event in events
        if isinstance(event, ModelChanged)
    ]


def texts(running: RunningSession) -> list[list[str]]:
    return [[str(m.get("content")) for m in asked.messages] for asked in running.model.asked]


def reading(number: int, text: str = "") -> ModelTurn:
    """A step unlike any other."""
    return calls("read_file", {"path": "./" * number + "README.md"}, text)


@pytest.fixture
def with_fallbacks(settings: BridgeSettings) -> BridgeSettings:
    return settings.model_copy(update={"fallback_models": ("second/model", "third/model")})


async def test_fallbacks_are_tried_in_order_and_the_next_task_begins_with_the_wanted_model(
    open_session: OpenSession, with_fallbacks: BridgeSettings
) -> None:
    steps = (DOWN, DOWN, DOWN, UNKNOWN, reading(1), says("Done."), says("Again."))
    async with open_session(*steps, settings=with_fallbacks) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
        status = running.session.status()
        await running.session.chat(message(1))
        await running.finished("r1")
        asked = [request.model for request in running.model.asked]
    assert changes(events) == [
        ("acme/model", "second/model", "model_unavailable"),
        ("second/model", "third/model", "model_not_found"),
    ]
    assert status.model == "third/model"
    assert asked == [
        *["acme/model"] * 3,
        "second/model",
        "third/model",
        "third/model",
        "acme/model",
    ]


async def test_half_an_answer_is_not_put_into_the_mouth_of_a_fallback(
    open_session: OpenSession, with_fallbacks: BridgeSettings
) -> None:
    gone = ModelError(ErrorCode.MODEL_NOT_FOUND, "gone")
    async with open_session(
        Half("Half of", gone), says("Whole."), settings=with_fallbacks
    ) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
        roles = [m["role"] for m in running.model.asked[1].messages]
    assert [e.text for e in events if isinstance(e, MessageWritten)] == ["Half of", "Whole."]
    assert roles == ["system", "user", "assistant", "user"]


async def test_a_fault_of_the_account_asks_no_other_model(
    open_session: OpenSession, with_fallbacks: BridgeSettings
) -> None:
    broke = ModelError(ErrorCode.MODEL_PAYMENT, "no credit")
    async with open_session(broke, settings=with_fallbacks) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
    assert changes(events) == []
    assert events[-1].error.code == "model_payment"


async def test_a_reply_changes_the_model_from_the_next_call_on(open_session: OpenSession) -> None:
    thought = ({"type": "reasoning.encrypted", "data": "only the first model can read this"},)

    async def interjects(_request: ModelRequest) -> ModelTurn:
        await running.session.chat(message(1, model="other/model"))
        return reading(1, text="I look.")

    first = ModelTurn(
        text="One.", tool_calls=reading(2).tool_calls, reasoning="Hm.", reasoning_details=thought
    )
    async with open_session(first, interjects, says("Done."), says("Still.")) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
        await running.session.chat(message(2, model="other/model"))
        await running.finished("r2")
        requests = running.model.asked
    assert changes(events) == [("acme/model", "other/model", "")]
    assert [request.model for request in requests] == [
        *("acme/model", "acme/model", "other/model", "other/model")
    ]
    assert "only the first" in json.dumps(requests[1].messages)
    assert "only the first" not in json.dumps(requests[2].messages)
    assert "One." in json.dumps(requests[2].messages)


@pytest.mark.parametrize(
    ("step", "ended_at", "words"),
    [
        (lambda _: calls("read_file", {"path": "README.md"}), 6, "same call (read_file)"),
        (lambda n: reading(n % 2), 10, "two steps in turn"),
        (lambda n: calls("read_file", {"path": f"no{n}"}), 12, "every call failed"),
    ],
)
async def test_circles_get_a_hint_and_then_an_end(
    open_session: OpenSession, step: Callable[[int], ModelTurn], ended_at: int, words: str
) -> None:
    async with open_session(*(step(n) for n in range(40)), says("Here again.")) as running:
        await running.session.execute(task(max_steps=40))
        events = await running.finished("t1")
        hinted = [text for text in texts(running)[-1] if "going in circles" in text]
        asked = len(running.model.asked)
        running.model.steps = [says("Here again.")]
        await running.session.chat(message(1))
        assert await running.outcome("r1") is Outcome.COMPLETED
    last = events[-1]
    assert isinstance(last, TaskFinished)
    assert last.error is not None
    assert (last.outcome, last.error.code) == (Outcome.FAILED, "stuck")
    assert words in last.error.message
    assert len(hinted) == 1
    assert asked == ended_at


async def test_an_answer_that_is_cut_off_goes_on_until_it_is_whole(
    open_session: OpenSession,
) -> None:
    parts = [says(f"{number}, ", cut_off=True) for number in range(3)]
    async with open_session(*parts, says("end.")) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
    written = [event for event in events if isinstance(event, MessageWritten)]
    assert [(event.text, event.final) for event in written] == [("0, 1, 2, end.", True)]


async def test_a_long_result_is_short_in_the_context_and_read_again_by_the_tool(
    open_session: OpenSession, settings: BridgeSettings
) -> None:
    async def again(request: ModelRequest) -> ModelTurn:
        call_id = request.messages[-1]["tool_call_id"]
        return calls("read_result", {"call_id": call_id, "offset": 20_000})

    steps = (calls("read_file", {"path": "large.txt"}), again, says("Done."))
    async with open_session(*steps) as running:
        running.model.known = ModelLimits(32_768, 4_096)
        lines = (f"line {number} of the large file\n" for number in range(1_200))
        (settings.workspace_dir / "large.txt").write_text("".join(lines))
        await running.session.execute(task())
        events = await running.finished("t1")
        shortened, part = (texts(running)[place][-1] for place in (1, 2))
    assert len(shortened) <= 8_192
    assert "read_result" in shortened
    assert part.startswith("[characters 20000 to 24000")
    assert [event.ok for event in events if isinstance(event, ToolFinished)] == [True, True]


async def test_a_long_result_moves_to_another_bridge(
    open_session: OpenSession,
    settings: BridgeSettings,
    workspace_request: WorkspaceRequest,
    tmp_path: Path,
) -> None:
    steps = (calls("read_file", {"path": "large.txt"}), says("Done."))
    async with open_session(*steps) as running:
        running.model.known = ModelLimits(32_768, 4_096)
        (settings.workspace_dir / "large.txt").write_text("a line of text\n" * 2_000)
        await running.session.execute(task())
        await running.finished("t1")
        saved = await running.session.export()
        call_id = running.model.asked[1].messages[-1]["tool_call_id"]
    reads = calls("read_result", {"call_id": call_id, "offset": 9_000})
    async with open_session(
        reads, says("Yes."), prepare=False, elsewhere=tmp_path / "b"
    ) as running:
        await running.session.restore(SavedConversation.model_validate_json(saved))
        await running.session.prepare(workspace_request)
        await running.session.chat(message(1, model="acme/model"))
        await running.finished("r1")
        assert texts(running)[1][-1].startswith("[characters 9000 to 13000")
        again = await running.session.export()
    assert json.loads(again)["results"] == json.loads(saved)["results"] != []


async def test_many_long_results_of_one_step_share_the_room(
    open_session: OpenSession, settings: BridgeSettings
) -> None:
    call = calls("read_file", {"path": "large.txt"}).tool_calls[0]
    many = ModelTurn(tool_calls=tuple(replace(call, id=f"c{n}") for n in range(12)))
    async with open_session(many, says("Done.")) as running:
        running.model.known = ModelLimits(32_768, 4_096)
        (settings.workspace_dir / "large.txt").write_text("a line of text\n" * 2_000)
        await running.session.execute(task())
        await running.finished("t1")
        results = [m for m in running.model.asked[1].messages if m["role"] == "tool"]
    assert len(results) == 12
    assert sum(len(result["content"]) for result in results) < 25_000
    assert all("read_result" in result["content"] for result in results)


async def test_an_overflow_leads_to_one_summary_and_one_more_try(open_session: OpenSession) -> None:
    long = [reading(n, text="I look. " * 200) for n in range(6)]
    steps = (*long, TOO_LONG, says("All looked at, goal: do it."), says("Done."))
    async with open_session(*steps) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
        asked = running.model.asked
        saved = json.loads(await running.session.export())
    (compacted,) = (event for event in events if isinstance(event, ContextCompacted))
    assert compacted.by_model
    assert events[-1].outcome is Outcome.COMPLETED
    assert "All looked at" in str(asked[-1].messages[1])
    assert "do it" in str(asked[-1].messages[1])
    assert asked[-1].messages[2]["role"] == "assistant"
    assert len(asked[-1].messages) < len(asked[-3].messages)
    assert sum(m["role"] == "tool" for m in saved["messages"]) == 6
    assert saved["summary_upto"] > 1


async def test_a_model_of_its_own_writes_the_summaries(
    open_session: OpenSession, settings: BridgeSettings
) -> None:
    long = [reading(n, text="I look. " * 200) for n in range(6)]
    steps = (*long, TOO_LONG, says("Summary."), says("Done."))
    small = settings.model_copy(update={"summary_model": "acme/small"})
    async with open_session(*steps, settings=small) as running:
        await running.session.execute(task())
        await running.finished("t1")
        models = [request.model for request in running.model.asked]
    own = models[0]
    assert models == [*[own] * 7, "acme/small", own]


async def test_a_summary_outlives_a_restart(open_session: OpenSession) -> None:
    long = [reading(n, text="I look. " * 200) for n in range(6)]
    steps = (*long, TOO_LONG, says("The codename is heron."), says("Done."))
    async with open_session(*steps) as running:
        await running.session.execute(task())
        await running.finished("t1")
        saved = await running.session.export()
    async with open_session(says("Yes."), prepare=False) as running:
        await running.session.chat(message(1))
        await running.finished("r1")
        assert "heron" in texts(running)[0][1]
        assert len(texts(running)[0]) < 14
        assert json.loads(await running.session.export())["summary"] == json.loads(saved)["summary"]


async def test_a_summary_that_cannot_be_had_stops_nothing(open_session: OpenSession) -> None:
    long = [reading(n, text=f"I look {n}. " * 150) for n in range(6)]
    async with open_session(*long, TOO_LONG, DOWN, DOWN, says("Done.")) as running:
        await running.session.execute(task(text="Keep the port 4711."))
        events = await running.finished("t1")
        summary = texts(running)[-1][1]
    (compacted,) = (event for event in events if isinstance(event, ContextCompacted))
    assert not compacted.by_model
    assert events[-1].outcome is Outcome.COMPLETED
    assert "Keep the port 4711." in summary


async def test_a_second_overflow_is_the_end(open_session: OpenSession) -> None:
    long = [reading(n, text="I look. " * 200) for n in range(6)]
    async with open_session(*long, TOO_LONG, says("Summary."), TOO_LONG, says("Here.")) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
        await running.session.chat(message(1))
        assert await running.outcome("r1") is Outcome.COMPLETED
    assert events[-1].error.code == "context_overflow"


async def test_the_first_step_of_each_task_is_made_by_the_model_for_plans(
    open_session: OpenSession, settings: BridgeSettings
) -> None:
    planned = settings.model_copy(update={"plan_model": "acme/planner"})
    steps = (reading(1), reading(2), says("Done."), says("Again."))
    async with open_session(*steps, settings=planned) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
        await running.session.chat(message(1))
        await running.finished("r1")
        asked = [request.model for request in running.model.asked]
    assert asked == ["acme/planner", "acme/model", "acme/model", "acme/planner"]
    assert changes(events) == []


async def test_without_the_model_for_plans_the_task_goes_on_with_its_own(
    open_session: OpenSession, settings: BridgeSettings
) -> None:
    planned = settings.model_copy(update={"plan_model": "acme/planner"})
    async with open_session(UNKNOWN, reading(1), says("Done."), settings=planned) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
        asked = [request.model for request in running.model.asked]
    assert asked == ["acme/planner", "acme/model", "acme/model"]
    assert changes(events) == [("acme/planner", "acme/model", "model_not_found")]
