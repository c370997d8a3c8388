"""Agents whose files outgrow the disk's limit: a warning, an interruption, a stop; each once."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.agents.disk_watch import DiskWatch
from bot.config import Settings
from bot.domain.agent import Agent, AgentStatus
from bot.errors import EngineError
from bridge.protocol import Outcome
from tests.harness.app import AppHarness, app_harness

LIMIT = 2**30


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[AppHarness]:
    settings = Settings(_env_file=None, container_disk_bytes=LIMIT)
    async with app_harness(tmp_path, settings) as made:
        yield made


@pytest.fixture
def watch(harness: AppHarness) -> DiskWatch:
    return DiskWatch(harness.dependencies, harness.fleet)


async def told(harness: AppHarness, agent: Agent) -> list[str]:
    shown = await harness.shown(agent.id)
    return [post.text for key, post in shown.items() if key.startswith("trouble:disk")]


async def test_one_that_nears_the_limit_is_warned_of_once(
    harness: AppHarness, watch: DiskWatch
) -> None:
    agent = await harness.working()
    await watch.measure()
    harness.runtime.sizes[agent.id] = int(LIMIT * 0.9)
    await watch.measure()
    await watch.measure()
    [said] = await told(harness, agent)
    assert "922 MiB of 1.0 GiB" in said
    assert not harness.bridge.bodies("interrupt")
    harness.runtime.sizes[agent.id] = 0
    await watch.measure()
    harness.runtime.sizes[agent.id] = int(LIMIT * 0.85)
    await watch.measure()
    assert len(await told(harness, agent)) == 2


async def test_one_at_work_is_interrupted_and_may_tidy_up_afterwards(
    harness: AppHarness, watch: DiskWatch
) -> None:
    agent = await harness.working()
    harness.runtime.sizes[agent.id] = LIMIT + 1
    await watch.measure()
    assert len(harness.bridge.bodies("interrupt")) == 1
    [said] = await told(harness, agent)
    assert "Its task was interrupted" in said
    assert "CONTAINER_DISK_BYTES" in said
    await watch.measure()
    assert len(harness.bridge.bodies("interrupt")) == 1
    await harness.reaches(agent.id, AgentStatus.IDLE)
    await harness.reply(agent, "5.1", "delete it")
    await harness.reaches(agent.id, AgentStatus.WORKING)
    await watch.measure()
    assert len(harness.bridge.bodies("interrupt")) == 1
    harness.runtime.sizes[agent.id] = int(LIMIT * 1.1)
    await watch.measure()
    assert len(harness.bridge.bodies("interrupt")) == 2


async def test_what_goes_on_writing_without_a_task_is_stopped(
    harness: AppHarness, watch: DiskWatch
) -> None:
    agent = await harness.working()
    harness.bridge.finish(agent.id, outcome=Outcome.INTERRUPTED)
    agent = await harness.reaches(agent.id, AgentStatus.IDLE)
    harness.runtime.sizes[agent.id] = LIMIT * 2
    await watch.measure()
    await harness.reaches(agent.id, AgentStatus.SLEEPING)
    assert not harness.runtime.containers[agent.id].running
    assert "Its container was stopped" in (await told(harness, agent))[0]
    await harness.reply(agent, "5.1", "delete it")
    await harness.reaches(agent.id, AgentStatus.WORKING)


async def test_nobody_is_measured_while_nobody_can_write(
    harness: AppHarness, watch: DiskWatch
) -> None:
    harness.runtime.silent = True
    await watch.measure()
    harness.runtime.silent = False
    await harness.working()
    harness.runtime.silent = True
    with pytest.raises(EngineError):
        await watch.measure()
