"""Two bots by mistake on the same data: one works, the other one waits and then goes on."""

import signal
from dataclasses import replace

import pytest

from tests.e2e.conftest import READY_SECONDS, Bot, Deployment

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]


async def test_a_second_bot_waits_touches_nothing_and_goes_on_when_the_first_is_killed(
    deployment: Deployment, leftovers: None
) -> None:
    ana, first = deployment.person(), deployment.bot
    assert first.process is not None
    second = Bot(first.environment, first.data_dir)
    await second.spawn()
    await second.says(f"another Threadsmith (process {first.process.pid} on", READY_SECONDS)
    thread = await ana.say("demo/todo say hello", "dev", mention=True)
    await deployment.wait_for_reply("scripted model", thread, "dev")
    assert deployment.playground.slack.socket_mode.connections == 1
    assert second.process is not None
    assert second.process.returncode is None
    await first.end(signal.SIGKILL)
    await second.says("ready", READY_SECONDS)
    deployment.bot = second
    await ana.say("and now?", "dev", thread)
    await deployment.wait_for_reply("This is task 2", thread, "dev")
    answers = [m for m in ana.thread("dev", thread) if "This is task" in m["text"]]
    assert len(answers) == 1
    await deployment.stop_agent(thread)


async def test_a_second_bot_that_is_told_to_end_while_it_waits_ends(deployment: Deployment) -> None:
    second = replace(deployment.bot, process=None, log=[], _reading=None)
    await second.spawn()
    await second.says("another Threadsmith", READY_SECONDS)
    await second.end()
    assert second.process is not None
    assert second.process.returncode == -signal.SIGTERM
