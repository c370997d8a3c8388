"""Files of agents that are over: what a stop promised to remove goes, what is kept has an end."""

import asyncio
from dataclasses import replace

import pytest

from bot.agents.reconcile import DAY_SECONDS, Leftovers
from bot.domain.agent import Agent, AgentStatus
from bot.errors import EngineError
from tests.harness.app import AppHarness, spec


async def ended(harness: AppHarness, status: AgentStatus, **fields: object) -> Agent:
    """An agent that is over, with its files still there: the bot died before it removed them."""
    agent = await harness.idle()
    await harness.fleet.cancel(agent.id)
    over = replace(agent.with_status(status, harness.clock.now), **fields)  # type: ignore[arg-type]
    async with harness.store.transaction() as tx:
        await tx.save_agent(over)
    await harness.runtime.remove(agent.id, keep_files=True)
    await harness.restart()
    return over


async def tidy(harness: AppHarness) -> None:
    await Leftovers(harness.dependencies, harness.fleet).remove_files()


async def test_what_a_stop_promised_to_remove_is_removed_after_a_death_of_the_bot(
    harness: AppHarness,
) -> None:
    await ended(harness, AgentStatus.STOPPED)
    await tidy(harness)
    assert not harness.runtime.kept


async def test_of_an_agent_that_never_had_a_workspace_nothing_is_kept(harness: AppHarness) -> None:
    await ended(harness, AgentStatus.FAILED, base_commit=None)
    await tidy(harness)
    assert not harness.runtime.kept


@pytest.mark.parametrize("status", [AgentStatus.LOST, AgentStatus.FAILED])
async def test_files_to_go_on_with_stay_for_the_days_of_retention(
    harness: AppHarness, status: AgentStatus
) -> None:
    await ended(harness, status)
    harness.clock.now += harness.dependencies.settings.retention_days * DAY_SECONDS
    await tidy(harness)
    assert harness.runtime.kept
    harness.clock.now += 1
    await tidy(harness)
    assert not harness.runtime.kept


async def test_files_of_the_living_stay_however_old(harness: AppHarness) -> None:
    agent = await harness.idle()
    harness.clock.now += 1_000 * DAY_SECONDS
    await tidy(harness)
    assert list(harness.runtime.kept) == [agent.id]


async def test_files_without_a_row_go_when_they_are_old(harness: AppHarness) -> None:
    await harness.runtime.start(spec("stranger"))
    harness.runtime.kept["stranger"] = harness.clock.now
    harness.clock.now += harness.dependencies.settings.retention_days * DAY_SECONDS
    await tidy(harness)
    assert harness.runtime.kept
    harness.clock.now += 1
    await tidy(harness)
    assert not harness.runtime.kept


async def test_a_stop_that_is_under_way_removes_its_files_itself(harness: AppHarness) -> None:
    agent = await ended(harness, AgentStatus.STOPPED)
    with harness.fleet.hold(agent.id):
        await tidy(harness)
    assert harness.runtime.kept


async def test_a_restart_during_the_removal_gets_files_of_its_own(harness: AppHarness) -> None:
    agent = await ended(harness, AgentStatus.STOPPED)
    harness.bridge.forget(agent.id)
    gate = harness.runtime.removal = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(tidy(harness))
        await harness.changes.until(lambda: harness.fleet.held(agent.id))
        await harness.reply(agent, "6.1", "restart")
        gate.set()
    await harness.reaches(agent.id, AgentStatus.IDLE)
    assert list(harness.runtime.kept) == [agent.id]


async def test_a_silent_engine_is_an_error_and_nothing_goes(harness: AppHarness) -> None:
    await ended(harness, AgentStatus.STOPPED)
    harness.runtime.silent = True
    with pytest.raises(EngineError):
        await tidy(harness)
    assert harness.runtime.kept
