"""Agents whose files outgrow the disk's limit: a warning, an interruption, a stop; each once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.agents.disk_watch import DiskWatch
from bot.config import Settings
from bot.domain.agent import Agent, AgentStatus
from bot.errors import EngineError
from bridge.protocol import Outcome
from tests.harness.app import Stage, stage as make_stage

LIMIT = 2**30


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    settings = Settings(_env_file=None, container_disk_bytes=LIMIT)
    async with make_stage(tmp_path, settings) as made:
        yield made


@pytest.fixture
def watch(stage: Stage) -> DiskWatch:
    return DiskWatch(stage.world, stage.fleet)


async def told(stage: Stage, agent: Agent) -> list[str]:
    shown = await stage.shown(agent.id)
    return [post.text for key, post in shown.items() if key.startswith("trouble:disk")]


async def test_one_that_nears_the_limit_is_warned_of_once(stage: Stage, watch: DiskWatch) -> None:
    agent = await stage.working()
    await watch.look()
    stage.runtime.sizes[agent.id] = int(LIMIT * 0.9)
    await watch.look()
    await watch.look()
    [said] = await told(stage, agent)
    assert "922 MiB of 1.0 GiB" in said
    assert not stage.bridge.bodies("interrupt")
    stage.runtime.sizes[agent.id] = 0
    await watch.look()
    stage.runtime.sizes[agent.id] = int(LIMIT * 0.85)
    await watch.look()
    assert len(await told(stage, agent)) == 2


async def test_one_at_work_is_interrupted_and_may_tidy_up_afterwards(
    stage: Stage, watch: DiskWatch
) -> None:
    agent = await stage.working()
    stage.runtime.sizes[agent.id] = LIMIT + 1
    await watch.look()
    assert len(stage.bridge.bodies("interrupt")) == 1
    [said] = await told(stage, agent)
    assert "Its task was interrupted" in said
    assert "CONTAINER_DISK_BYTES" in said
    await watch.look()
    assert len(stage.bridge.bodies("interrupt")) == 1
    await stage.reaches(agent.id, AgentStatus.IDLE)
    await stage.reply(agent, "5.1", "delete it")
    await stage.reaches(agent.id, AgentStatus.WORKING)
    await watch.look()
    assert len(stage.bridge.bodies("interrupt")) == 1
    stage.runtime.sizes[agent.id] = int(LIMIT * 1.1)
    await watch.look()
    assert len(stage.bridge.bodies("interrupt")) == 2


async def test_what_goes_on_writing_without_a_task_is_stopped(
    stage: Stage, watch: DiskWatch
) -> None:
    agent = await stage.working()
    stage.bridge.finish(agent.id, outcome=Outcome.INTERRUPTED)
    agent = await stage.reaches(agent.id, AgentStatus.IDLE)
    stage.runtime.sizes[agent.id] = LIMIT * 2
    await watch.look()
    await stage.reaches(agent.id, AgentStatus.SLEEPING)
    assert not stage.runtime.containers[agent.id].running
    assert "Its container was stopped" in (await told(stage, agent))[0]
    await stage.reply(agent, "5.1", "delete it")
    await stage.reaches(agent.id, AgentStatus.WORKING)


async def test_nobody_is_measured_while_nobody_can_write(stage: Stage, watch: DiskWatch) -> None:
    stage.runtime.silent = True
    await watch.look()
    stage.runtime.silent = False
    await stage.working()
    stage.runtime.silent = True
    with pytest.raises(EngineError):
        await watch.look()
