"""Whoever runs the bot, beside a bot that runs, with real containers."""

import json
import secrets

import aiohttp
import pytest

from tests.e2e.conftest import Stage, docker, threadsmith

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow(35),
]


async def test_the_doctor_finds_a_whole_deployment_well(stage: Stage) -> None:
    await stage.person("ben").slash("/agent", "list")
    general = stage.playground.slack.state.channel("general").id
    arguments = ("--channel", general, "--repository", "demo/private")
    status, told = await threadsmith(stage, "doctor", "--json", *arguments)
    report = {one["check"]: one for one in json.loads(told)["checks"]}
    assert status == 0, told
    assert {name for name, one in report.items() if one["verdict"] != "ok"} <= {"network"}
    assert "heard from Slack" in report["Slack events"]["found"]
    assert "storage" in report["engine"]["found"]
    assert "of this very code" in report["image"]["found"]


async def test_the_bot_itself_sees_who_shares_its_token(stage: Stage) -> None:
    ana, slack = stage.person("ana"), stage.playground.slack
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


async def started(stage: Stage, task: str) -> tuple[str, str]:
    """The thread and the id of an agent whose first task has ended."""
    await stage.person().slash("/agent", f"demo/todo {task}")
    root = await stage.root(task)
    await stage.said("is_overdue", root["ts"])
    [container] = stage.bot.containers()
    label = '{{index .Config.Labels "threadsmith.agent"}}'
    return root["ts"], docker("inspect", "--format", label, container)


async def test_agents_are_listed_read_and_stopped_beside_the_bot(stage: Stage) -> None:
    thread, agent = await started(stage, "fix the failing test, first")
    foreign = volume("another", "k3f9ab")
    leftover = volume(stage.bot.instance, "zzzzzz")
    try:
        status, told = await threadsmith(stage, "ps")
        assert status == 0, told
        assert [line.split()[:2] for line in told.splitlines()] == [
            [agent, "idle"],
            ["zzzzzz", "leftover"],
        ]
        assert "listening" in (await threadsmith(stage, "logs", agent))[1].lower()
        assert await threadsmith(stage, "prune", "--yes") == (
            0,
            f"volume     {leftover}\n1 removed.\n",
        )
        assert len(stage.bot.containers()) == 1
        assert foreign in docker("volume", "ls", "--quiet")
        assert await threadsmith(stage, "stop", agent) == (0, f"{agent} is stopped.\n")
        assert stage.bot.containers() == []
        await stage.said("Stopped by whoever runs Threadsmith", thread)
        assert "This agent was stopped" in (await threadsmith(stage, "stop", agent))[1]
        assert (await threadsmith(stage, "ps"))[1] == "Nothing runs here.\n"
    finally:
        docker("volume", "rm", "--force", foreign, leftover)


async def test_agents_are_stopped_without_a_bot_and_everything_is_taken_away(stage: Stage) -> None:
    thread, agent = await started(stage, "fix the failing test, second")
    await stage.bot.end()
    status, told = await threadsmith(stage, "stop", agent)
    assert (status, "told at the next start" in told) == (0, True), told
    assert stage.bot.containers() == []
    await stage.bot.start()
    await stage.said("Stopped by whoever runs Threadsmith", thread)
    await started(stage, "fix the failing test, third")
    assert "A bot runs here" in (await threadsmith(stage, "uninstall", "--yes"))[1]
    await stage.bot.end()
    foreign = volume("another", "k3f9ab")
    try:
        status, told = await threadsmith(stage, "uninstall", "--yes")
        assert status == 0, told
        label = f"label=threadsmith.instance={stage.bot.instance}"
        for what in (("ps", "--all"), ("volume", "ls"), ("network", "ls")):
            assert docker(*what, "--quiet", "--filter", label) == ""
        assert foreign in docker("volume", "ls", "--quiet")
    finally:
        docker("volume", "rm", "--force", foreign)
