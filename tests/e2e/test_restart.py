"""The bot dies and comes back; the container works on, and the thread misses nothing."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from playground.model.server import ModelSettings
from playground.server import PlaygroundSettings, running
from tests.e2e.conftest import Stage, deployed, docker

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow(45),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(engine: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A model that takes its time, so that there is a middle to die in."""
    settings = PlaygroundSettings(model=ModelSettings(chunk_delay_seconds=0.05))
    async with running(settings) as playground:
        data_dir: Path = tmp_path_factory.mktemp("data")
        async with deployed(playground, data_dir) as stage:
            yield stage


async def test_a_killed_bot_goes_on_with_the_stream_of_its_running_container(
    stage: Stage, leftovers: None
) -> None:
    ana = stage.person("ana")
    await ana.slash("/agent", "demo/todo fix the failing test")
    root = await stage.root("fix the failing test")
    thread = root["ts"]
    await stage.said("run_command", thread)
    await stage.bot.end(signal.SIGKILL)
    [container] = stage.bot.containers()
    # A reply that comes while the bot is away is redelivered by Slack or stays with the person.
    await stage.bot.start()
    answer = await stage.said("is_overdue", thread)
    await stage.said("✓ *Task 1*", thread)
    assert stage.bot.containers() == [container]
    shown = ana.thread("general", thread)
    assert len([m for m in shown if m["text"].startswith("✓ *Task 1*")]) == 1
    assert len([m for m in shown if "is_overdue" in str(m.get("blocks"))]) == 1
    assert len(shown) == 3
    await ana.say("what did you change?", "general", thread)
    await stage.said("task 2", thread, after=answer["ts"])
    assert stage.bot.containers() == [container]
    await ana.say("Stop.", "general", thread)
    await stage.said("Stopped by", thread)
    await stage.no_containers()


async def test_a_container_removed_by_hand_is_reported_in_its_thread(
    stage: Stage, leftovers: None
) -> None:
    ana = stage.person("ana")
    await ana.slash("/agent", "demo/todo fix the failing test", "dev")
    root = await stage.root("fix the failing test", "dev")
    await stage.said("run_command", root["ts"], "dev")
    [container] = stage.bot.containers()
    docker("rm", "--force", container)
    await stage.said("container of this agent is gone", root["ts"], "dev")
    await ana.say("hello?", "dev", root["ts"])
    await stage.said('Reply "restart"', root["ts"], "dev")
    stage.bot.remove_agents()


async def test_a_bot_that_ends_politely_leaves_its_containers_at_work(
    stage: Stage, leftovers: None
) -> None:
    ana = stage.person("ana")
    await ana.slash("/agent", "demo/todo --model scripted/fix politely")
    root = await stage.root("politely")
    await stage.said("▶ *Working*", root["ts"])
    await stage.bot.end()
    assert len(stage.bot.containers()) == 1
    await stage.bot.start()
    await stage.said("all pass", root["ts"])
    await ana.react("general", root["ts"], "octagonal_sign")
    await stage.said("Stopped by", root["ts"])
    await stage.no_containers()
