"""Agents whose container rests, or ended by itself: they sleep, wake, and are started again."""

import pytest

from bot.agents.lifecycle.run import CRASH_LOOP_SECONDS
from bot.domain.agent import Agent, AgentStatus
from bot.domain.container import Exit
from bridge.protocol import Outcome
from tests.harness.app import AppHarness


async def asleep(harness: AppHarness) -> Agent:
    agent = await harness.idle()
    # The events carry the time at which the agent became idle.
    harness.clock.now = agent.status_since + harness.dependencies.settings.sleep_after_seconds + 1
    await harness.fleet.sleep_idle_agents()
    return await harness.reaches(agent.id, AgentStatus.SLEEPING)


async def dies(harness: AppHarness, agent: Agent) -> None:
    """Its container runs out of memory, once its events are followed."""
    harness.runtime.die(agent.id, Exit(137, out_of_memory=True))
    harness.bridge.cut(agent.id)


async def test_one_that_is_idle_for_long_sleeps_with_its_container_stopped(
    harness: AppHarness,
) -> None:
    agent = await asleep(harness)
    assert not harness.runtime.containers[agent.id].running
    assert agent.id in harness.runtime.kept
    assert harness.fleet.run_of(agent.id) is None
    before = await harness.shown(agent.id)
    for _ in range(2):
        await harness.fleet.reconcile()
        await harness.fleet.sleep_idle_agents()
    assert harness.fleet.run_of(agent.id) is None
    assert await harness.shown(agent.id) == before


async def test_one_that_works_or_has_just_ended_its_task_stays_awake(harness: AppHarness) -> None:
    one, two = await harness.working("trigger-1"), await harness.idle("trigger-2")
    harness.clock.now = two.status_since + harness.dependencies.settings.sleep_after_seconds
    await harness.fleet.sleep_idle_agents()
    assert harness.runtime.containers[one.id].running
    assert harness.runtime.containers[two.id].running
    harness.clock.now += 1
    await harness.fleet.sleep_idle_agents()
    assert harness.runtime.containers[one.id].running
    assert not harness.runtime.containers[two.id].running


async def test_a_reply_wakes_it_in_its_own_container_and_says_so(harness: AppHarness) -> None:
    agent = await asleep(harness)
    for number in range(1, 4):
        await harness.reply(agent, f"5.{number}", f"say {number}")
    await harness.asked("chat", 3)
    await harness.reaches(agent.id, AgentStatus.WORKING)
    asked = [body.message_id for body in harness.bridge.bodies("chat")]
    assert asked == ["5.1", "5.2", "5.3"]
    assert len(harness.runtime.specs) == 1
    assert not harness.bridge.bodies("restore")
    assert f"card:{agent.id}-5.1" in await harness.shown(agent.id)


async def test_a_reply_while_the_bot_was_away_wakes_it_at_the_next_look(
    harness: AppHarness,
) -> None:
    agent = await asleep(harness)
    with harness.fleet.hold(agent.id):
        await harness.reply(agent, "5.1", "and a test")
    await harness.restart()
    await harness.fleet.reconcile()
    await harness.reaches(agent.id, AgentStatus.WORKING)


async def test_one_that_sleeps_can_be_stopped(harness: AppHarness) -> None:
    agent = await asleep(harness)
    await harness.service.stop(agent.id, "UBEN")
    await harness.reaches(agent.id, AgentStatus.STOPPED)
    assert not harness.runtime.containers


async def test_an_idle_one_whose_container_ended_sleeps_and_its_thread_is_told(
    harness: AppHarness,
) -> None:
    agent = await harness.idle()
    await dies(harness, agent)
    agent = await harness.reaches(agent.id, AgentStatus.SLEEPING)
    await harness.changes.until(lambda: harness.fleet.run_of(agent.id) is None)
    said = (await harness.shown(agent.id))[f"notice:asleep:{agent.last_seq}"].text
    assert said == "💤 The container ran out of memory while it was idle. A reply wakes it."


async def test_a_thread_that_was_told_of_the_failed_task_hears_nothing_of_the_sleep(
    harness: AppHarness,
) -> None:
    # Engine and bridge ended together: the bridge had time to say that its task is cut short.
    harness.clock.now = 5.0
    agent = await harness.working()
    harness.bridge.finish(agent.id, outcome=Outcome.FAILED)
    agent = await harness.reaches(agent.id, AgentStatus.IDLE)
    await dies(harness, agent)
    await harness.reaches(agent.id, AgentStatus.SLEEPING)
    assert not [key for key in await harness.shown(agent.id) if key.startswith("notice:asleep")]
    await harness.reply(agent, "5.1", "and a test")
    await harness.reaches(agent.id, AgentStatus.WORKING)
    assert len(harness.runtime.specs) == 1


async def test_one_at_work_is_started_again_and_the_thread_is_told_why_its_task_failed(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    await harness.asked("events")
    await dies(harness, agent)
    await harness.asked("events", 2)
    harness.bridge.finish(agent.id, outcome=Outcome.FAILED)
    agent = await harness.reaches(agent.id, AgentStatus.IDLE)
    assert harness.runtime.containers[agent.id].running
    said = (await harness.shown(agent.id))[f"trouble:revived:{agent.last_seq}"].text
    assert "The container ran out of memory and was started again." in said
    assert not harness.runtime.removed


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(CRASH_LOOP_SECONDS - 1, AgentStatus.FAILED), (CRASH_LOOP_SECONDS, AgentStatus.WORKING)],
)
async def test_a_container_that_ends_twice_within_a_minute_stays_down(
    harness: AppHarness, seconds: float, status: AgentStatus
) -> None:
    agent = await harness.working()
    await harness.asked("events")
    await dies(harness, agent)
    await harness.asked("events", 2)
    harness.clock.now += seconds
    await dies(harness, agent)
    if status is AgentStatus.WORKING:
        await harness.asked("events", 3)
        assert harness.runtime.containers[agent.id].running
    await harness.reaches(agent.id, status)
    if status is AgentStatus.FAILED:
        await harness.changes.until(lambda: agent.id in harness.runtime.removed)
        assert agent.id in harness.runtime.kept
        said = [
            post.text for key, post in (await harness.shown(agent.id)).items() if "ended:" in key
        ]
        assert len(said) == 1
        assert "twice within a minute" in said[0]
