"""Whoever runs the bot, beside a bot that runs, with real containers."""

import asyncio
import json
import os
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.conftest import Stage

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


async def threadsmith(stage: Stage, *arguments: str) -> tuple[int | None, str]:
    """Run the command with the settings of the bot."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("threadsmith"),
        *arguments,
        env={**os.environ, **stage.bot.environment},
        cwd=stage.bot.data_dir,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    return process.returncode, told.decode()


async def test_the_doctor_finds_a_whole_deployment_well(stage: Stage) -> None:
    await stage.person("ben").slash("/agent", "list")
    general = stage.playground.slack.workspace.channel("general").id
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
        url = f"{slack.grants.base_url}/link/?ticket={ticket}"
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
