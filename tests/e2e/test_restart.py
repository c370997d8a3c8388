"""The bot dies and comes back; the container works on, and the thread misses nothing."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from playground.model.server import ModelSettings
from playground.server import PlaygroundSettings, running
from tests.e2e.conftest import Deployment, deployed, docker

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow(45),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(
    engine: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    """A model that takes its time, so that there is a middle to die in."""
    settings = PlaygroundSettings(model=ModelSettings(chunk_delay_seconds=0.05))
    async with running(settings) as playground:
        data_dir: Path = tmp_path_factory.mktemp("data")
        async with deployed(playground, data_dir) as deployment:
            yield deployment


async def test_a_killed_bot_goes_on_with_the_stream_of_its_running_container(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person("ana")
    await ana.slash("/agent", "demo/todo fix the failing test")
    root = await deployment.wait_for_root("fix the failing test")
    thread = root["ts"]
    await deployment.wait_for_reply("run_command", thread)
    await deployment.bot.end(signal.SIGKILL)
    [container] = deployment.bot.containers()
    # A reply that comes while the bot is away is redelivered by Slack or stays with the person.
    await deployment.bot.start()
    answer = await deployment.wait_for_reply("is_overdue", thread)
    await deployment.wait_for_reply("✓ *Task 1*", thread)
    assert deployment.bot.containers() == [container]
    shown = ana.thread("general", thread)
    assert len([m for m in shown if m["text"].startswith("✓ *Task 1*")]) == 1
    assert len([m for m in shown if "is_overdue" in str(m.get("blocks"))]) == 1
    assert len(shown) == 3
    await ana.say("what did you change?", "general", thread)
    await deployment.wait_for_reply("task 2", thread, after=answer["ts"])
    assert deployment.bot.containers() == [container]
    await ana.say("Stop.", "general", thread)
    await deployment.wait_for_reply("Stopped by", thread)
    await deployment.no_containers()


async def test_a_container_removed_by_hand_is_reported_in_its_thread(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person("ana")
    await ana.slash("/agent", "demo/todo fix the failing test", "dev")
    root = await deployment.wait_for_root("fix the failing test", "dev")
    await deployment.wait_for_reply("run_command", root["ts"], "dev")
    [container] = deployment.bot.containers()
    docker("rm", "--force", container)
    await deployment.wait_for_reply("container of this agent is gone", root["ts"], "dev")
    await ana.say("hello?", "dev", root["ts"])
    await deployment.wait_for_reply('Reply "restart"', root["ts"], "dev")
    deployment.bot.remove_agents()


async def test_a_bot_that_ends_politely_leaves_its_containers_at_work(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person("ana")
    await ana.slash("/agent", "demo/todo --model scripted/fix politely")
    root = await deployment.wait_for_root("politely")
    await deployment.wait_for_reply("▶ *Working*", root["ts"])
    await deployment.bot.end()
    assert len(deployment.bot.containers()) == 1
    await deployment.bot.start()
    await deployment.wait_for_reply("all pass", root["ts"])
    await ana.react("general", root["ts"], "octagonal_sign")
    await deployment.wait_for_reply("Stopped by", root["ts"])
    await deployment.no_containers()
