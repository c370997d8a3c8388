"""Whoever runs the bot, beside a bot that runs, with real containers."""

import json
import secrets

import aiohttp
import pytest

from tests.e2e.conftest import Deployment, docker, threadsmith

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow(35),
]


async def test_the_doctor_finds_a_whole_deployment_well(deployment: Deployment) -> None:
    await deployment.person("ben").slash("/agent", "list")
    general = deployment.playground.slack.state.channel("general").id
    arguments = ("--channel", general, "--repository", "demo/private")
    status, told = await threadsmith(deployment, "doctor", "--json", *arguments)
    report = {one["check"]: one for one in json.loads(told)["checks"]}
    assert status == 0, told
    assert {name for name, one in report.items() if one["verdict"] != "ok"} <= {"network"}
    assert "heard from Slack" in report["Slack events"]["found"]
    assert "storage" in report["engine"]["found"]
    assert "of this very code" in report["image"]["found"]


async def test_the_bot_itself_sees_who_shares_its_token(deployment: Deployment) -> None:
    ana, slack = deployment.person("ana"), deployment.playground.slack
    await ana.slash("/agent", "doctor")
    told = await ana.wait_for_ephemeral("Nothing failed")
    assert "✓ *Slack sockets* · one connection" in told.text, told.text
    async with aiohttp.ClientSession() as session:
        ticket = slack.socket_mode.new_ticket()
        url = f"{slack.trigger_tokens.base_url}/link/?ticket={ticket}"
        async with session.ws_connect(url) as other:
            await other.receive_json()
            # Slack lets the bot connect again, as it does every few hours.
            slack.socket_mode._connections[0].draining = True
            await slack.socket_mode._say_disconnect(
                slack.socket_mode._connections[0], "refresh_requested"
            )
            await slack.socket_mode.connected(2)
            await ana.slash("/agent", "doctor")
            told = await ana.wait_for_ephemeral("Slack counts 2 connections")
    assert "of its own" in told.text


def volume(instance: str, agent: str) -> str:
    name = f"threadsmith-operating-{secrets.token_hex(4)}"
    labels = {"product": "threadsmith", "instance": instance, "agent": agent}
    words = [f"--label=threadsmith.{key}={value}" for key, value in labels.items()]
    return docker("volume", "create", *words, name)


async def started(deployment: Deployment, task: str) -> tuple[str, str]:
    """The thread and the id of an agent whose first task has ended."""
    await deployment.person().slash("/agent", f"demo/todo {task}")
    root = await deployment.wait_for_root(task)
    await deployment.wait_for_reply("is_overdue", root["ts"])
    [container] = deployment.bot.containers()
    label = '{{index .Config.Labels "threadsmith.agent"}}'
    return root["ts"], docker("inspect", "--format", label, container)


async def test_agents_are_listed_read_and_stopped_beside_the_bot(deployment: Deployment) -> None:
    thread, agent = await started(deployment, "fix the failing test, first")
    foreign = volume("another", "k3f9ab")
    leftover = volume(deployment.bot.instance, "zzzzzz")
    try:
        status, told = await threadsmith(deployment, "ps")
        assert status == 0, told
        assert [line.split()[:2] for line in told.splitlines()] == [
            [agent, "idle"],
            ["zzzzzz", "leftover"],
        ]
        assert "listening" in (await threadsmith(deployment, "logs", agent))[1].lower()
        assert await threadsmith(deployment, "prune", "--yes") == (
            0,
            f"volume     {leftover}\n1 removed.\n",
        )
        assert len(deployment.bot.containers()) == 1
        assert foreign in docker("volume", "ls", "--quiet")
        assert await threadsmith(deployment, "stop", agent) == (0, f"{agent} is stopped.\n")
        assert deployment.bot.containers() == []
        await deployment.wait_for_reply("Stopped by whoever runs Threadsmith", thread)
        assert "This agent was stopped" in (await threadsmith(deployment, "stop", agent))[1]
        assert (await threadsmith(deployment, "ps"))[1] == "Nothing runs here.\n"
    finally:
        docker("volume", "rm", "--force", foreign, leftover)


async def test_agents_are_stopped_without_a_bot_and_everything_is_taken_away(
    deployment: Deployment,
) -> None:
    thread, agent = await started(deployment, "fix the failing test, second")
    await deployment.bot.end()
    status, told = await threadsmith(deployment, "stop", agent)
    assert (status, "told at the next start" in told) == (0, True), told
    assert deployment.bot.containers() == []
    await deployment.bot.start()
    await deployment.wait_for_reply("Stopped by whoever runs Threadsmith", thread)
    await started(deployment, "fix the failing test, third")
    assert "A bot runs here" in (await threadsmith(deployment, "uninstall", "--yes"))[1]
    await deployment.bot.end()
    foreign = volume("another", "k3f9ab")
    try:
        status, told = await threadsmith(deployment, "uninstall", "--yes")
        assert status == 0, told
        label = f"label=threadsmith.instance={deployment.bot.instance}"
        for what in (("ps", "--all"), ("volume", "ls"), ("network", "ls")):
            assert docker(*what, "--quiet", "--filter", label) == ""
        assert foreign in docker("volume", "ls", "--quiet")
    finally:
        docker("volume", "rm", "--force", foreign)
