"""Secrets and the queue in the whole product: a bot's process, its files, real containers."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from playground.server import PlaygroundSettings, running
from playground.slack.slack_state import Json
from playground.slack.user_client import UserClient
from tests.e2e.conftest import Deployment, deployed, docker

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow(30),
]

VALUE = "canary-typed-K3f9/0815+x"
OTHER_KEY = "YW5vdGhlci1rZXktb2YtdGhlLXZhdWx0LTMyLWJ5dGU="
ONE = {"MAX_AGENTS": "1", "RECONCILE_SECONDS": "1", "SLEEP_AFTER_SECONDS": "3600"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(
    engine: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    """A bot that runs one agent at a time."""
    async with running(PlaygroundSettings()) as playground:
        data_dir = tmp_path_factory.mktemp("data")
        async with deployed(playground, data_dir, ONE) as deployment:
            yield deployment


async def type_secret(ana: UserClient, **values: object) -> Json | str | None:
    """Type a secret into the form; what the bot answered."""
    assert (await ana.slash("/agent", "secrets")).ok
    await ana.wait_for_view("Add a secret")
    assert (await ana.click_view("secret_add")).ok
    await ana.wait_for_view("secret_value")
    outcome = await ana.submit_view({"secret_value": VALUE} | values)
    assert outcome.ok
    return outcome.answer


def everything_written(deployment: Deployment) -> str:
    """Every file of the bot, its whole log, and every call that it made to Slack."""
    files = [path for path in deployment.bot.data_dir.rglob("*") if path.is_file()]
    assert any(path.name.endswith("-wal") for path in files)
    on_disk = b"".join(path.read_bytes() for path in files).decode("latin-1")
    calls = [call.as_json() for call in deployment.playground.feed.entries("api_call")]
    return on_disk + json.dumps(deployment.bot.log) + json.dumps(calls)


async def test_a_typed_secret_is_nowhere_in_clear_and_the_key_is_for_its_owner(
    deployment: Deployment,
) -> None:
    ana = deployment.person()
    assert await type_secret(ana, kind="variable", name="NPM_TOKEN", expose=["expose"]) is None
    await ana.wait_for_view("`NPM_TOKEN`")
    refused = await type_secret(ana, kind="model_key")
    assert isinstance(refused, dict)
    assert "refuses this key (401)" in refused["errors"]["secret_value"]
    written = everything_written(deployment)
    assert "secrets_form" in written
    assert "canary-typed" not in written
    assert (deployment.bot.data_dir / "secrets.key").stat().st_mode & 0o777 == 0o600
    await deployment.bot.end(signal.SIGKILL)
    assert "canary-typed" not in everything_written(deployment)
    key = deployment.bot.data_dir / "secrets.key"
    right = key.read_text()
    key.write_text(f"{OTHER_KEY}\n")
    await deployment.bot.spawn()
    await deployment.bot.end_of_start()
    assert "The stored secrets cannot be decrypted" in deployment.bot.log[-2]["message"]
    assert "Traceback" not in str(deployment.bot.log)
    key.write_text(right)
    await deployment.bot.start()
    await ana.slash("/agent", "secrets")
    await ana.wait_for_view("`NPM_TOKEN`")


async def waits(deployment: Deployment, thread: str, position: str) -> None:
    await deployment.wait_for_reply(f"Waiting for a free place*: {position}", thread, "dev")


async def test_three_agents_take_turns_over_a_restart_and_one_is_stopped_while_it_waits(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person()
    threads = []
    for number in range(4):
        await ana.slash("/agent", f"demo/todo say hello number {number}", "dev")
        threads.append((await deployment.wait_for_root(f"hello number {number}", "dev"))["ts"])
    await deployment.wait_for_reply("scripted model", threads[0], "dev")
    for thread, position in zip(threads[1:], ("1st", "2nd", "3rd"), strict=True):
        await waits(deployment, thread, position)
    assert len(deployment.bot.containers()) == 1
    await ana.say("stop", "dev", threads[1])
    await deployment.wait_for_reply("Stopped by", threads[1], "dev")
    await waits(deployment, threads[2], "1st")
    await deployment.bot.end(signal.SIGKILL)
    await deployment.bot.start()
    assert len(await asyncio.to_thread(deployment.bot.containers)) == 1
    await ana.say("stop", "dev", threads[0])
    await deployment.wait_for_reply("scripted model", threads[2], "dev")
    await waits(deployment, threads[3], "1st")
    await ana.say("stop", "dev", threads[2])
    await deployment.wait_for_reply("scripted model", threads[3], "dev")
    await ana.say("stop", "dev", threads[3])
    await deployment.no_containers()
    started = [line for line in deployment.bot.log if re.search("has a place now", line["message"])]
    assert len(started) == 2


async def test_a_guest_is_refused_and_nothing_starts(
    deployment: Deployment, leftovers: None
) -> None:
    eve = deployment.person("eve")
    await eve.slash("/agent", "demo/todo fix the failing test")
    await eve.wait_for_ephemeral("Guests cannot use agents here")
    assert not deployment.bot.containers()


async def test_a_persons_own_model_key_works_where_the_deployments_is_refused(
    engine: None, tmp_path: Path
) -> None:
    settings = {"OPENROUTER_API_KEY": "canary-of-nobody"}
    async with (
        running(PlaygroundSettings()) as playground,
        deployed(playground, tmp_path, settings) as deployment,
    ):
        ana = deployment.person()
        await ana.slash("/agent", "demo/todo fix the failing test")
        root = (await deployment.wait_for_root("fix the failing test"))["ts"]
        await deployment.wait_for_reply("Nothing is lost", root)
        right = playground.model_key
        assert await type_secret(ana, kind="model_key", secret_value=right) is None
        await ana.wait_for_view("Model key")
        await ana.say("fix the failing test", "general", root)
        await deployment.wait_for_reply("all pass", root)
        inside = await asyncio.to_thread(docker, "inspect", *deployment.bot.containers())
        assert right not in inside
        await ana.say("stop", "general", root)
        await deployment.no_containers()
