"""Files of agents that are over: what a stop promised to remove goes, what is kept has an end."""

import asyncio
from dataclasses import replace

import pytest

from bot.agents.leftovers import DAY_SECONDS, Leftovers
from bot.domain.agent import Agent, AgentStatus
from bot.errors import EngineError
from tests.harness.app import Stage, spec


async def ended(stage: Stage, status: AgentStatus, **fields: object) -> Agent:
    """An agent that is over, with its files still there: the bot died before it removed them."""
    agent = await stage.idle()
    await stage.fleet.cancel(agent.id)
    over = replace(agent.with_status(status, stage.clock.now), **fields)  # type: ignore[arg-type]
    async with stage.store.transaction() as tx:
        await tx.save_agent(over)
    await stage.runtime.remove(agent.id, keep_files=True)
    await stage.restart()
    return over


async def tidy(stage: Stage) -> None:
    await Leftovers(stage.world, stage.fleet).remove()


async def test_what_a_stop_promised_to_remove_is_removed_after_a_death_of_the_bot(
    stage: Stage,
) -> None:
    await ended(stage, AgentStatus.STOPPED)
    await tidy(stage)
    assert not stage.runtime.kept


async def test_of_an_agent_that_never_had_a_workspace_nothing_is_kept(stage: Stage) -> None:
    await ended(stage, AgentStatus.FAILED, base_commit=None)
    await tidy(stage)
    assert not stage.runtime.kept


@pytest.mark.parametrize("status", [AgentStatus.LOST, AgentStatus.FAILED])
async def test_files_to_go_on_with_stay_for_the_days_of_retention(
    stage: Stage, status: AgentStatus
) -> None:
    await ended(stage, status)
    stage.clock.now += stage.world.settings.retention_days * DAY_SECONDS
    await tidy(stage)
    assert stage.runtime.kept
    stage.clock.now += 1
    await tidy(stage)
    assert not stage.runtime.kept


async def test_files_of_the_living_stay_however_old(stage: Stage) -> None:
    agent = await stage.idle()
    stage.clock.now += 1_000 * DAY_SECONDS
    await tidy(stage)
    assert list(stage.runtime.kept) == [agent.id]


async def test_files_without_a_row_go_when_they_are_old(stage: Stage) -> None:
    await stage.runtime.start(spec("stranger"))
    stage.runtime.kept["stranger"] = stage.clock.now
    stage.clock.now += stage.world.settings.retention_days * DAY_SECONDS
    await tidy(stage)
    assert stage.runtime.kept
    stage.clock.now += 1
    await tidy(stage)
    assert not stage.runtime.kept


async def test_a_stop_that_is_under_way_removes_its_files_itself(stage: Stage) -> None:
    agent = await ended(stage, AgentStatus.STOPPED)
    with stage.fleet.hold(agent.id):
        await tidy(stage)
    assert stage.runtime.kept


async def test_a_restart_during_the_removal_gets_files_of_its_own(stage: Stage) -> None:
    agent = await ended(stage, AgentStatus.STOPPED)
    stage.bridge.forget(agent.id)
    gate = stage.runtime.removal = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(tidy(stage))
        await stage.changes.until(lambda: stage.fleet.held(agent.id))
        await stage.reply(agent, "6.1", "restart")
        gate.set()
    await stage.reaches(agent.id, AgentStatus.IDLE)
    assert list(stage.runtime.kept) == [agent.id]


async def test_a_silent_engine_is_an_error_and_nothing_goes(stage: Stage) -> None:
    await ended(stage, AgentStatus.STOPPED)
    stage.runtime.silent = True
    with pytest.raises(EngineError):
        await tidy(stage)
    assert stage.runtime.kept
