from bot.domain.task_card import Phase, TaskCard
from bridge.protocol import (
    AgentEvent,
    FileChange,
    FilesChanged,
    MessageWritten,
    ModelRetried,
    Outcome,
    StepStarted,
    TaskFinished,
    TaskStarted,
    ToolFinished,
    ToolStarted,
    UnknownEvent,
    UsageRecorded,
    WireError,
)


def a_card() -> TaskCard:
    return TaskCard("t1", 1, started_at=100.0, now=100.0)


def fold(*events: AgentEvent) -> TaskCard:
    card = a_card()
    for event in events:
        card = card.apply(event)
    return card


def tool(call_id: str, at: float = 101.0) -> ToolStarted:
    return ToolStarted(at=at, call_id=call_id, tool="read_file", target="a.py", arguments="{}")


def test_phases_end_when_the_next_begins() -> None:
    card = a_card().begin_phase("container", 100.0).begin_phase("clone", 100.5).end_phase(102.0)
    assert card.phases == (Phase("container", 0.5), Phase("clone", 1.5))


def test_ending_a_phase_twice_is_harmless() -> None:
    card = a_card().begin_phase("clone", 100.0).end_phase(101.0)
    assert card.end_phase(105.0).phases == (Phase("clone", 1.0),)


def test_a_tool_line_ends_once() -> None:
    done = ToolFinished(
        call_id="c1", tool="read_file", target="a.py", ok=True, summary="10 lines",
        duration_seconds=0.1, result="",
    )  # fmt: skip
    card = fold(tool("c1"), done, done.model_copy(update={"ok": False}))
    assert [(line.ok, line.summary) for line in card.tools] == [(True, "10 lines")]


def test_all_tools_are_counted_and_the_newest_are_kept() -> None:
    card = fold(*[tool(f"c{n}") for n in range(100)])
    assert card.tool_count == 100
    assert card.tools[-1].call_id == "c99"
    assert len(card.tools) < 100


def test_usage_adds_up_and_an_unknown_cost_stays_unknown() -> None:
    one = UsageRecorded(model="m", prompt_tokens=10, completion_tokens=5)
    assert fold(one, one).cost_usd is None
    assert fold(one, one.model_copy(update={"cost_usd": 0.1})).tokens == 30


def test_a_retry_is_shown_until_the_next_step() -> None:
    retry = ModelRetried(
        attempt=1, max_attempts=5, wait_seconds=3,
        error=WireError(code="model_unavailable", message="The provider is down."),
    )  # fmt: skip
    assert "3 s (1 of 5)" in fold(retry).waiting
    assert fold(retry, StepStarted(step=2, max_steps=15)).waiting == ""


def test_the_final_text_is_the_answer_and_the_talk_before_is_not() -> None:
    talk = MessageWritten(text="Let me look.", final=False)
    assert fold(talk, MessageWritten(text="Done.", final=True)).answer == "Done."
    assert fold(talk).answer == ""


def test_the_end_of_a_task() -> None:
    card = fold(
        TaskStarted(text="t", model="m", max_steps=15),
        FilesChanged(files=(FileChange(path="a", status="modified", added=1, removed=2),)),
        TaskFinished(outcome=Outcome.STEP_LIMIT, steps=15, duration_seconds=3),
    )
    assert (card.outcome, card.running, len(card.files)) == (Outcome.STEP_LIMIT, False, 1)


def test_a_card_cut_short_is_over_and_keeps_a_known_outcome() -> None:
    running = fold(TaskStarted(text="t", model="m", max_steps=15))
    assert running.cut_short(200.0).outcome is Outcome.INTERRUPTED
    done = running.apply(TaskFinished(outcome=Outcome.COMPLETED, steps=1, duration_seconds=1))
    assert done.cut_short(200.0).outcome is Outcome.COMPLETED


def test_an_event_of_a_newer_bridge_changes_nothing_but_the_time() -> None:
    before = fold(tool("c1"))
    after = before.apply(UnknownEvent(type="later", at=300.0))
    assert after == before.at(300.0)
