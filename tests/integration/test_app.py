"""The whole bot as it is put together, before a playground and an engine that runs nothing."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from bot.agents.lifecycle.fleet import Fleet
from bot.app.serve import serve
from bot.redaction import Redactor
from bot.store.retention import Pruned, Retention
from playground.server import PlaygroundSettings, running
from playground.slack.slack_settings import SlackSettings
from tests.integration.cli.conftest import GOOD_ENGINE, serving, settings_of

ENGINE = GOOD_ENGINE | {
    "/v1.45/_ping": "OK",
    "/v1.45/containers/json": [],
    "/v1.45/networks": [],
    "/v1.45/volumes": {"Volumes": []},
}


async def test_loops_that_fail_in_unexpected_ways_leave_the_bot_answering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failed = asyncio.Event()

    async def fail_to_prune(_retention: Retention, _now: float) -> Pruned:
        raise ValueError("a bug in the retention")

    async def fail_to_compare(_fleet: Fleet) -> None:
        failed.set()
        raise KeyError("a bug in the reconciliation")

    monkeypatch.setattr(Retention, "prune", fail_to_prune)
    monkeypatch.setattr(Fleet, "reconcile", fail_to_compare)
    slack = SlackSettings(limits_enabled=False)
    async with (
        running(PlaygroundSettings(slack=slack)) as playground,
        serving(ENGINE, tmp_path / "engine.sock") as engine,
    ):
        monkeypatch.setenv("DOCKER_HOST", engine)
        settings = settings_of(playground, tmp_path / "data")
        bot = asyncio.create_task(serve(settings, Redactor(settings.secrets)))
        connected = asyncio.create_task(playground.slack.socket_mode.connected())
        await asyncio.wait({bot, connected}, return_when=asyncio.FIRST_COMPLETED)
        assert not bot.done(), bot.exception()
        await failed.wait()
        ana = playground.person("ana")
        assert (await ana.slash("/agent", "help")).ok
        await ana.wait_for_ephemeral("Start an agent")
        assert not bot.done()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(20):
            await bot
    assert "the background loop 'retention' failed (1 in a row)" in caplog.text
    assert "the background loop 'reconciliation' failed (1 in a row)" in caplog.text
