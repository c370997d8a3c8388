"""Pausing, going on and undoing, by the service: once each, and refused where out of place."""

import asyncio

import pytest

from bot.domain.agent import Agent, AgentStatus
from bot.errors import UserError
from bridge.protocol import (
    Check,
    CheckKind,
    Evidence,
    MessageWritten,
    Outcome,
    PlanItem,
    PlanStatus,
    PlanUpdated,
    TaskFinished,
)
from tests.harness.app import AppHarness
from tests.integration.agents.test_questions import buttons, words

RED = Check(
    command="pytest -q", kind=CheckKind.TESTS, exit_code=1, duration_seconds=6.2, stale=True
)


async def paused(harness: AppHarness) -> Agent:
    agent = await harness.working()
    said = await harness.service.buttons.pause_task(agent.id, agent.first_task_id)
    assert "pauses before its next step" in said
    return await harness.reaches(agent.id, AgentStatus.IDLE)


async def changed(harness: AppHarness) -> Agent:
    """An idle agent whose task has changed files."""
    agent = await harness.working()
    task_id = agent.first_task_id
    harness.bridge.end_task(agent.id)
    harness.bridge.push(
        agent.id,
        MessageWritten(at=1.0, task_id=task_id, text="Done.", final=True),
        TaskFinished(
            at=1.0,
            task_id=task_id,
            outcome=Outcome.COMPLETED,
            steps=3,
            duration_seconds=1.0,
            evidence=Evidence(checks=(RED,), changed=True),
        ),
    )
    return await harness.reaches(agent.id, AgentStatus.IDLE)


async def test_a_paused_task_says_so_and_goes_on_once(harness: AppHarness) -> None:
    agent = await paused(harness)
    card = (await harness.shown(agent.id))[f"card:{agent.first_task_id}"]
    assert "Paused" in card.text
    assert buttons(card) == ["Resume", "Interrupt", "Stop", "Details"]
    presses = [
        harness.service.buttons.resume_task(agent.id, agent.first_task_id, "UANA") for _ in range(3)
    ]
    await asyncio.gather(*presses, return_exceptions=True)
    await harness.reaches(agent.id, AgentStatus.WORKING)
    assert harness.bridge.bodies("resume") == [agent.first_task_id]
    card = (await harness.shown(agent.id))[f"card:{agent.first_task_id}"]
    assert buttons(card) == ["Pause", "Interrupt", "Stop", "Details"]
    with pytest.raises(UserError, match="goes on already"):
        await harness.service.buttons.resume_task(agent.id, agent.first_task_id, "UANA")


async def test_a_pause_outlasts_sleep_and_a_restart_of_the_bot(harness: AppHarness) -> None:
    agent = await paused(harness)
    harness.clock.now = agent.status_since + harness.dependencies.settings.sleep_after_seconds + 1
    await harness.fleet.sleep_idle_agents()
    await harness.reaches(agent.id, AgentStatus.SLEEPING)
    await harness.restart()
    await harness.service.buttons.resume_task(agent.id, agent.first_task_id, "UANA")
    await harness.reaches(agent.id, AgentStatus.WORKING)


async def test_only_the_task_at_work_pauses(harness: AppHarness) -> None:
    agent = await harness.working()
    with pytest.raises(UserError, match="No task is at work"):
        await harness.service.buttons.pause_task(agent.id, "another")
    harness.bridge.finish(agent.id, "Done.")
    await harness.reaches(agent.id, AgentStatus.IDLE)
    with pytest.raises(UserError, match="No task is at work"):
        await harness.service.buttons.pause_task(agent.id, agent.first_task_id)
    with pytest.raises(UserError, match="has ended"):
        await harness.service.buttons.resume_task(agent.id, agent.first_task_id, "UANA")
    with pytest.raises(UserError):
        await harness.service.buttons.pause_task("nobody")


async def test_a_task_that_changed_files_can_be_undone_once(harness: AppHarness) -> None:
    agent = await changed(harness)
    answer = (await harness.shown(agent.id))[f"answer:{agent.first_task_id}:0"]
    assert "Undo" in buttons(answer)
    assert "`pytest -q` exit 1, 6.2 s — *before the last edit*" in words(answer)
    await harness.service.buttons.undo_task(agent.id, agent.first_task_id, "UBEN")
    with pytest.raises(UserError, match="undone already"):
        await harness.service.buttons.undo_task(agent.id, agent.first_task_id, "UBEN")

    async def told() -> bool:
        shown = await harness.shown(agent.id)
        return any("<@UBEN> undid the last task" in post.text for post in shown.values())

    await harness.changes.found(told)
    assert harness.bridge.bodies("undo") == [agent.first_task_id]


async def test_only_the_last_task_can_be_undone_and_none_at_work(harness: AppHarness) -> None:
    agent = await changed(harness)
    await harness.reply(agent, "5.1")
    working = await harness.reaches(agent.id, AgentStatus.WORKING)
    undo = harness.service.buttons.undo_task
    with pytest.raises(UserError, match="at work"):
        await undo(agent.id, agent.first_task_id, "UBEN")
    harness.bridge.finish(agent.id, "Done.")
    await harness.reaches(agent.id, AgentStatus.IDLE)
    with pytest.raises(UserError, match="Only the last one"):
        await undo(agent.id, agent.first_task_id, "UBEN")
    await undo(agent.id, str(working.task_id), "UBEN")
    await harness.service.stop(agent.id, "UANA")
    with pytest.raises(UserError, match="was stopped"):
        await undo(agent.id, str(working.task_id), "UBEN")


async def test_a_stop_says_what_is_done_in_progress_and_left(harness: AppHarness) -> None:
    agent = await harness.working()
    plan = PlanUpdated(
        at=1.0,
        task_id=agent.first_task_id,
        items=(
            PlanItem(text="reproduce it", status=PlanStatus.DONE),
            PlanItem(text="fix it", status=PlanStatus.DOING),
            PlanItem(text="test it"),
        ),
    )
    harness.bridge.push(agent.id, plan)

    async def planned() -> bool:
        card = (await harness.shown(agent.id))[f"card:{agent.first_task_id}"]
        return "reproduce it _(done)_" in words(card)

    await harness.changes.found(planned)
    await harness.service.stop(agent.id, "UBEN")
    shown = await harness.shown(agent.id)
    [stopped] = [post for key, post in shown.items() if key.startswith("stopped:")]
    said = "Done: reproduce it. In progress: fix it. Not done: test it."
    assert said in words(stopped)
