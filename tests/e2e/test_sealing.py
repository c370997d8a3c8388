"""The network of the containers, as a bot without any setting has it, and as it changes."""

import json
from pathlib import Path

import pytest

from playground.server import PlaygroundSettings, running
from tests.e2e.conftest import deployed, docker
from tests.faults.conftest import EDIT_THEN_WAIT

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120), pytest.mark.slow(40)]

# The address of a socket has room for 107 bytes; a path may be 40 times as long.
LONG = "/".join(["a-folder-with-a-long-name"] * 8)


def network_of(container: str) -> str:
    [facts] = json.loads(docker("inspect", container))
    return str(facts["HostConfig"]["NetworkMode"])


async def test_containers_are_sealed_wherever_the_data_lie(engine: None, tmp_path: Path) -> None:
    data_dir = tmp_path / LONG
    data_dir.mkdir(parents=True)
    async with (
        running(PlaygroundSettings()) as playground,
        deployed(playground, data_dir) as deployment,
    ):
        bot = deployment.bot
        ana = deployment.person("ana")
        thread = await ana.say("demo/todo fix the failing test", "dev", mention=True)
        await deployment.wait_for_reply("all pass", thread, "dev")
        [container] = bot.containers()
        folder = bot.sockets(container)
        assert len(str(folder)) > 107
        assert docker("port", container) == ""
        await deployment.stop_agent(thread)
        assert not folder.exists()


async def test_agents_at_work_move_to_the_network_that_the_settings_say(
    engine: None, tmp_path: Path
) -> None:
    async with running(PlaygroundSettings()) as playground:
        playground.model.scenarios.add("edit-then-wait", EDIT_THEN_WAIT)
        settings = {"SANDBOX_NETWORK": "open"}
        async with deployed(playground, tmp_path, settings) as deployment:
            bot, ana = deployment.bot, deployment.person("ana")
            await bot.says("network is open: SANDBOX_NETWORK=open")
            task = "demo/todo --model scripted/edit-then-wait mend it"
            thread = await ana.say(task, "dev", mention=True)
            await deployment.wait_for_reply("⋯ run", thread, "dev")
            [container] = bot.containers()
            assert network_of(container) == f"threadsmith-{bot.instance}"
            await bot.end()

            del bot.environment["SANDBOX_NETWORK"]
            await bot.start()
            told = await deployment.wait_for_reply("another network now", thread, "dev")
            [container] = bot.containers()
            assert network_of(container) == "none"
            await ana.say("what did you change?", "dev", thread)
            await deployment.wait_for_reply(
                "⋯ run", thread, "dev"
            )  # the card stands below what was told
            diff = ("git", "-C", "/workspace", "diff")
            assert "due < today" in docker("exec", "--user=10002", container, *diff)
            await bot.end()

            bot.environment["SANDBOX_NETWORK"] = "open"
            await bot.start()
            await deployment.wait_for_reply("another network now", thread, "dev", after=told["ts"])
            [container] = bot.containers()
            assert network_of(container) != "none"
            await deployment.stop_agent(thread)
