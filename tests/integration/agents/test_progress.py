import pytest

from bot.agents.lifecycle.progress import Progress
from bot.domain.agent import AgentStatus
from bridge.protocol import (
    AgentEvent,
    FileChange,
    FilesChanged,
    MessageWritten,
    ModelRetried,
    Outcome,
    StepStarted,
    TaskFinished,
    TextDelta,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    UnknownEvent,
    UsageRecorded,
    WireError,
)
from tests.harness.app import AppHarness

ERROR = WireError(code="model_unavailable", message="The provider did not answer: 502.")


def tool_started(call_id: str = "1") -> ToolStarted:
    return ToolStarted(at=1.0, call_id=call_id, tool="read_file", target="a.py", arguments="{}")


SHOWN: list[tuple[AgentEvent, str]] = [
    (StepStarted(at=1.0, step=4, max_steps=15), "step 4 of 15"),
    (tool_started(), "read_file"),
    (
        ModelRetried(at=1.0, attempt=1, max_attempts=3, wait_seconds=2, error=ERROR),
        "Trying again in 2 s",
    ),
]


@pytest.mark.parametrize(("event", "said"), SHOWN)
async def test_what_happens_shows_on_the_card(
    harness: AppHarness, event: AgentEvent, said: str
) -> None:
    agent = await harness.working()
    progress = Progress(harness.dependencies, agent)
    await progress.restore(agent)
    await progress.take_event(event.model_copy(update={"seq": agent.last_seq + 1}))
    assert said in str((await harness.shown(agent.id))[f"card:{agent.id}-1"].payload)


@pytest.mark.parametrize(
    "event",
    [
        TextDelta(at=1.0, text="hm"),
        ToolOutput(at=1.0, call_id="1", text="out"),
        MessageWritten(at=1.0, text="thinking aloud", final=False),
        UsageRecorded(at=1.0, model="m", cost_usd=0.1),
        UnknownEvent(at=1.0, type="dream_dreamt"),
    ],
)
async def test_what_is_only_passing_by_posts_nothing(
    harness: AppHarness, event: AgentEvent
) -> None:
    agent = await harness.working()
    before = await harness.shown(agent.id)
    seq = 0 if isinstance(event, TextDelta | ToolOutput) else agent.last_seq + 1
    progress = Progress(harness.dependencies, agent)
    await progress.take_event(event.model_copy(update={"seq": seq}))
    assert await harness.shown(agent.id) == before
    stored = await harness.store.events(agent.id)
    assert (stored[-1].seq == seq) is (seq > 0)


async def test_an_event_twice_or_late_is_stored_and_shown_once(harness: AppHarness) -> None:
    agent = await harness.idle()
    progress = Progress(harness.dependencies, agent)
    before = await harness.shown(agent.id)
    events = await harness.store.events(agent.id)
    for event in (*events, *reversed(events)):
        await progress.take_event(event)
    assert await harness.shown(agent.id) == before
    assert await harness.store.events(agent.id) == events


async def test_a_task_that_ends_leaves_a_line_and_one_answer(harness: AppHarness) -> None:
    agent = await harness.working()
    files = (FileChange(path="a.py", status="modified", added=14, removed=6),)
    done = ToolFinished(
        at=1.0,
        call_id="1",
        tool="read_file",
        target="a.py",
        ok=True,
        summary="120 lines",
        duration_seconds=0.2,
        result="",
    )
    cost = UsageRecorded(at=1.0, model="m", prompt_tokens=10, cost_usd=0.11)
    harness.bridge.push(agent.id, tool_started(), done, FilesChanged(at=1.0, files=files), cost)
    harness.bridge.finish(agent.id, "Sorted by id now.")
    after = await harness.reaches(agent.id, AgentStatus.IDLE)
    shown = await harness.shown(agent.id)
    assert shown[f"card:{agent.id}-1"].text.startswith("✓ *Task 1* · ")
    assert "$0.11 · 1 file, +14 \u22126" in shown[f"card:{agent.id}-1"].text
    assert shown[f"answer:{agent.id}-1:0"].text == "Sorted by id now."
    assert after.cost_usd == pytest.approx(0.11)


async def test_every_outcome_is_answered(harness: AppHarness) -> None:
    agent = await harness.working()
    for number, outcome in enumerate(Outcome, start=1):
        harness.bridge.finish(agent.id, "", outcome)
        await harness.reaches(agent.id, AgentStatus.IDLE)
        await harness.reply(agent, f"5.{number}")
        await harness.reaches(agent.id, AgentStatus.WORKING)
    answers = [key for key in await harness.shown(agent.id) if key.startswith("answer:")]
    assert len(answers) == len(Outcome)


async def test_a_silenced_interruption_has_no_answer_of_its_own(harness: AppHarness) -> None:
    agent = await harness.working()
    run = harness.fleet.run_of(agent.id)
    assert run
    run.progress.hide_interruption()
    harness.bridge.finish(agent.id, outcome=Outcome.INTERRUPTED)
    await harness.reaches(agent.id, AgentStatus.IDLE)
    assert f"answer:{agent.id}-1:0" not in await harness.shown(agent.id)


async def test_a_task_that_ended_before_the_stop_reached_it_is_still_answered(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    run = harness.fleet.run_of(agent.id)
    assert run
    run.progress.hide_interruption()
    harness.bridge.finish(agent.id, "Done.", Outcome.COMPLETED)
    await harness.reaches(agent.id, AgentStatus.IDLE)
    assert (await harness.shown(agent.id))[f"answer:{agent.id}-1:0"].text == "Done."


async def test_after_a_restart_the_card_counts_from_the_start_of_the_task(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    harness.clock.now += 500
    progress = Progress(harness.dependencies, agent)
    await progress.restore(agent)
    assert progress.card.started_at == 1.0


async def test_an_event_that_was_not_stored_leaves_no_card_behind_that_works(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    progress = Progress(harness.dependencies, agent)
    await progress.restore(agent)
    ended = TaskFinished(
        seq=agent.last_seq + 1,
        at=2.0,
        task_id=agent.task_id,
        outcome=Outcome.INTERRUPTED,
        steps=1,
        duration_seconds=1,
    )
    progress._apply(agent, ended)  # as a transaction that is cut off leaves it
    async with harness.store.transaction() as tx:
        await progress.close_card(tx, agent)
    assert "interrupted" in (await harness.shown(agent.id))[f"card:{agent.id}-1"].text
