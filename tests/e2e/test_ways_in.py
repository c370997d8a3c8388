"""Other ways in: a mention in a thread, a direct message, signed HTTP; and starts that fail."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from playground.server import PlaygroundSettings, running
from tests.e2e.conftest import ROOT, Bot, Deployment, docker, environment_of

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow(70),
]


async def test_a_mention_inside_a_thread_starts_an_agent_there(
    deployment: Deployment, leftovers: None
) -> None:
    ana, ben = deployment.person("ana"), deployment.person("ben")
    thread = await ben.say("the test fails since monday", "general")
    await ana.say("demo/todo fix the failing test", "general", thread, mention=True)
    await deployment.wait_for_reply("Reply in the thread to steer", thread)
    await deployment.wait_for_reply("all pass", thread)
    reply = await ben.say("and what changed?", "general", thread)
    await deployment.wait_for_reply("task 2", thread)
    # The reaction works on a person's message, too: any message of the thread.
    await ana.react("general", reply, "octagonal_sign")
    await deployment.wait_for_reply("Stopped by", thread)
    await deployment.no_containers()


async def test_a_direct_message_needs_no_mention(deployment: Deployment, leftovers: None) -> None:
    ana = deployment.person("ana")
    thread = await ana.say("demo/private say hello", "@")
    await deployment.wait_for_reply("scripted model", thread, "@")
    shown = await ana.shortcut("stop_agent", "@", thread)
    assert shown.ok
    await deployment.wait_for_reply("Stopped by", thread, "@")
    await deployment.no_containers()


async def test_help_by_mention_and_by_direct_message(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person("ana")
    await ana.say("help", "general", mention=True)
    await ana.wait_for_ephemeral("Start an agent")
    assert len([e for e in ana.ephemerals("general") if "Start an agent" in e.text]) == 1


async def test_list_and_status_name_the_agent(deployment: Deployment, leftovers: None) -> None:
    ana = deployment.person("ana")
    await ana.slash("/agent", "demo/todo say hello", "dev")
    root = await deployment.wait_for_root("say hello", "dev")
    await deployment.wait_for_reply("scripted model", root["ts"], "dev")
    await ana.slash("/agent", "list", "dev")
    listed = await ana.wait_for_ephemeral("1 agent runs here")
    agent_id = re.findall(r"`([a-z0-9]{6})`", listed.text)[0]
    await ana.slash("/agent", f"status {agent_id}", "dev")
    await ana.wait_for_ephemeral("no file changed")
    await ana.slash("/agent", f"stop {agent_id}", "dev")
    await deployment.wait_for_reply("Stopped by", root["ts"], "dev")
    await deployment.no_containers()


async def test_the_model_key_and_the_git_token_never_enter_the_container(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person("ana")
    await ana.slash("/agent", "demo/private keep a secret", "dev")
    root = await deployment.wait_for_root("keep a secret", "dev")
    await deployment.wait_for_reply("scripted model", root["ts"], "dev")
    [container] = deployment.bot.containers()
    inside = subprocess.run(
        ["docker", "inspect", container], capture_output=True, text=True, check=True
    ).stdout
    kept = ("/workspace/.git/config", "/state/events.jsonl")
    files = docker("exec", "--user", "10001", container, "cat", *kept)
    logged = "\n".join(str(line) for line in deployment.bot.log)
    for secret in (deployment.playground.model_key, deployment.playground.git_token):
        assert secret not in inside + files + logged
    await ana.say("stop", "dev", root["ts"])
    await deployment.no_containers()


async def test_the_same_job_by_signed_http(engine: None, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with running(PlaygroundSettings()) as playground:
        environment = environment_of(playground, tmp_path) | {"SLACK_HTTP_PORT": str(port)}
        del environment["SLACK_APP_TOKEN"]
        bot = Bot(environment, tmp_path)
        await bot.start()
        playground.slack.use_http(f"http://127.0.0.1:{port}/slack/events")
        deployment = Deployment(playground, bot)
        try:
            ana = deployment.person("ana")
            assert (await ana.slash("/agent", "demo/todo fix the failing test")).ok
            root = await deployment.wait_for_root("fix the failing test")
            await deployment.wait_for_reply("all pass", root["ts"])
            await ana.react("general", root["ts"], "octagonal_sign")
            await deployment.wait_for_reply("Stopped by", root["ts"])
            await deployment.no_containers()
        finally:
            await bot.end()
            bot.clean_up()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-wrong-canary"}, "Slack refused SLACK_BOT_TOKEN (invalid_auth)"),
        ({"SLACK_BOT_TOKEN": "xapp-wrong-canary"}, "SLACK_BOT_TOKEN must begin with xoxb-"),
        ({"SLACK_APP_TOKEN": "", "SLACK_SIGNING_SECRET": ""}, "SLACK_SIGNING_SECRET"),
        ({"OPENROUTER_API_KEY": ""}, "OPENROUTER_API_KEY is missing"),
        ({"AGENT_MAX_STEPS": "many"}, "AGENT_MAX_STEPS"),
        ({"BRIDGE_IMAGE": "threadsmith-bridge:never"}, "make image"),
        ({"DOCKER_HOST": "unix:///nowhere/docker.sock"}, "engine"),
        ({"SLACK_API_URL": "http://127.0.0.1:9/api/"}, "Slack does not answer"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_start_that_cannot_work_ends_with_one_clear_line(
    engine: None, tmp_path: Path, changes: dict[str, str], says: str
) -> None:
    async with running(PlaygroundSettings()) as playground:
        environment = environment_of(playground, tmp_path) | changes
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot",
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=tmp_path,
        )  # fmt: skip
        async with asyncio.timeout(30):
            _, stderr = await process.communicate()
    last = stderr.decode().splitlines()[-1]
    assert process.returncode == 1
    assert last.startswith("threadsmith: ")
    assert says in last
    assert "canary" not in stderr.decode()
    assert "Traceback" not in stderr.decode()


async def test_a_refused_model_key_is_told_in_the_thread_and_the_agent_stays_usable(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person("ana")
    deployment.playground.model.fail_next("401")
    await ana.slash("/agent", "demo/todo fix the failing test", "dev")
    root = await deployment.wait_for_root("fix the failing test", "dev")
    failed = await deployment.wait_for_reply("Nothing is lost", root["ts"], "dev")
    assert "key" in failed["blocks"][0]["text"]["text"]
    await ana.say("fix the failing test", "dev", root["ts"])
    await deployment.wait_for_reply("all pass", root["ts"], "dev")
    await ana.say("stop", "dev", root["ts"])
    await deployment.no_containers()
