"""Agents whose container rests, or ended by itself: they sleep, wake, and are started again."""

import pytest

from bot.agents.lifecycle.run import CRASH_LOOP_SECONDS
from bot.domain.agent import Agent, AgentStatus
from bot.domain.container import (
    Exit,
)
from bridge.protocol import Outcome
from tests.harness.app import Stage


async def asleep(stage: Stage) -> Agent:
    agent = await stage.idle()
    # The events carry the time at which the agent became idle.
    stage.clock.now = agent.status_since + stage.world.settings.sleep_after_seconds + 1
    await stage.fleet.rest()
    return await stage.reaches(agent.id, AgentStatus.SLEEPING)


async def dies(stage: Stage, agent: Agent) -> None:
    """Its container runs out of memory, once its events are followed."""
    stage.runtime.die(agent.id, Exit(137, out_of_memory=True))
    stage.bridge.cut(agent.id)


async def test_one_that_is_idle_for_long_sleeps_with_its_container_stopped(stage: Stage) -> None:
    agent = await asleep(stage)
    assert not stage.runtime.containers[agent.id].running
    assert agent.id in stage.runtime.kept
    assert stage.fleet.run_of(agent.id) is None
    before = await stage.shown(agent.id)
    for _ in range(2):
        await stage.fleet.reconcile()
        await stage.fleet.rest()
    assert stage.fleet.run_of(agent.id) is None
    assert await stage.shown(agent.id) == before


async def test_one_that_works_or_has_just_ended_its_task_stays_awake(stage: Stage) -> None:
    one, two = await stage.working("trigger-1"), await stage.idle("trigger-2")
    stage.clock.now = two.status_since + stage.world.settings.sleep_after_seconds
    await stage.fleet.rest()
    assert stage.runtime.containers[one.id].running
    assert stage.runtime.containers[two.id].running
    stage.clock.now += 1
    await stage.fleet.rest()
    assert stage.runtime.containers[one.id].running
    assert not stage.runtime.containers[two.id].running


async def test_a_reply_wakes_it_in_its_own_container_and_says_so(stage: Stage) -> None:
    agent = await asleep(stage)
    for number in range(1, 4):
        await stage.reply(agent, f"5.{number}", f"say {number}")
    await stage.asked("chat", 3)
    await stage.reaches(agent.id, AgentStatus.WORKING)
    asked = [body.message_id for body in stage.bridge.bodies("chat")]
    assert asked == ["5.1", "5.2", "5.3"]
    assert len(stage.runtime.specs) == 1
    assert not stage.bridge.bodies("restore")
    assert f"card:{agent.id}-5.1" in await stage.shown(agent.id)


async def test_a_reply_while_the_bot_was_away_wakes_it_at_the_next_look(stage: Stage) -> None:
    agent = await asleep(stage)
    with stage.fleet.hold(agent.id):
        await stage.reply(agent, "5.1", "and a test")
    await stage.restart()
    await stage.fleet.reconcile()
    await stage.reaches(agent.id, AgentStatus.WORKING)


async def test_one_that_sleeps_can_be_stopped(stage: Stage) -> None:
    agent = await asleep(stage)
    await stage.service.stop(agent.id, "UBEN")
    await stage.reaches(agent.id, AgentStatus.STOPPED)
    assert not stage.runtime.containers


async def test_an_idle_one_whose_container_ended_sleeps_and_its_thread_is_told(
    stage: Stage,
) -> None:
    agent = await stage.idle()
    await dies(stage, agent)
    agent = await stage.reaches(agent.id, AgentStatus.SLEEPING)
    await stage.changes.until(lambda: stage.fleet.run_of(agent.id) is None)
    said = (await stage.shown(agent.id))[f"notice:asleep:{agent.last_seq}"].text
    assert said == "💤 The container ran out of memory while it was idle. A reply wakes it."


async def test_a_thread_that_was_told_of_the_failed_task_hears_nothing_of_the_sleep(
    stage: Stage,
) -> None:
    # Engine and bridge ended together: the bridge had time to say that its task is cut short.
    stage.clock.now = 5.0
    agent = await stage.working()
    stage.bridge.finish(agent.id, outcome=Outcome.FAILED)
    agent = await stage.reaches(agent.id, AgentStatus.IDLE)
    await dies(stage, agent)
    await stage.reaches(agent.id, AgentStatus.SLEEPING)
    assert not [key for key in await stage.shown(agent.id) if key.startswith("notice:asleep")]
    await stage.reply(agent, "5.1", "and a test")
    await stage.reaches(agent.id, AgentStatus.WORKING)
    assert len(stage.runtime.specs) == 1


async def test_one_at_work_is_started_again_and_the_thread_is_told_why_its_task_failed(
    stage: Stage,
) -> None:
    agent = await stage.working()
    await stage.asked("events")
    await dies(stage, agent)
    await stage.asked("events", 2)
    stage.bridge.finish(agent.id, outcome=Outcome.FAILED)
    agent = await stage.reaches(agent.id, AgentStatus.IDLE)
    assert stage.runtime.containers[agent.id].running
    said = (await stage.shown(agent.id))[f"trouble:revived:{agent.last_seq}"].text
    assert "The container ran out of memory and was started again." in said
    assert not stage.runtime.removed


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(CRASH_LOOP_SECONDS - 1, AgentStatus.FAILED), (CRASH_LOOP_SECONDS, AgentStatus.WORKING)],
)
async def test_a_container_that_ends_twice_within_a_minute_stays_down(
    stage: Stage, seconds: float, status: AgentStatus
) -> None:
    agent = await stage.working()
    await stage.asked("events")
    await dies(stage, agent)
    await stage.asked("events", 2)
    stage.clock.now += seconds
    await dies(stage, agent)
    if status is AgentStatus.WORKING:
        await stage.asked("events", 3)
        assert stage.runtime.containers[agent.id].running
    await stage.reaches(agent.id, status)
    if status is AgentStatus.FAILED:
        await stage.changes.until(lambda: agent.id in stage.runtime.removed)
        assert agent.id in stage.runtime.kept
        said = [post.text for key, post in (await stage.shown(agent.id)).items() if "ended:" in key]
        assert len(said) == 1
        assert "twice within a minute" in said[0]
