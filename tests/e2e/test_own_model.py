"""`threadsmith run` with no Slack but a model and a git host of one's own: the page says whose."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from playground.feed import Feed
from playground.git_server import GitServer, GitSettings, git_running
from playground.model.server import ModelSettings, ScriptedModel, model_running
from tests.e2e.conftest import ROOT, Bot

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]

KEY = "own-model-key-canary"
TOKEN = "own-git-token-canary"
REPOSITORY = "acme/api"


@dataclass
class Own:
    """A provider and a git host that are not the playground's, and the page in front of them."""

    model: ScriptedModel
    git: GitServer
    page_url: str
    bot: Bot

    async def get(self, path: str) -> dict[str, Any]:
        async with aiohttp.ClientSession(self.page_url) as session, session.get(path) as answer:
            shown: dict[str, Any] = await answer.json()
            return shown


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def own(engine: None, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    data_dir: Path = tmp_path_factory.mktemp("own")
    feed = Feed()
    async with (
        model_running(ModelSettings(api_key=KEY), feed) as model,
        git_running(GitSettings(token=TOKEN), data_dir / "git", feed) as git,
    ):
        await git.add(REPOSITORY, {"README.md": "an api\n"})
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLACK_", "OPENROUTER"))}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot"),
            env=clean
            | {
                "PYTHONPATH": str(ROOT),
                "DATA_DIR": str(data_dir / "data"),
                "OPENROUTER_BASE_URL": model.url,
                "OPENROUTER_API_KEY": KEY,
                "AGENT_MODEL": "scripted/scripted-model",
                "GITHUB_URL": git.url,
                "GITHUB_TOKEN": TOKEN,
            },
            stderr=asyncio.subprocess.PIPE,
            cwd=data_dir,
        )
        bot = Bot({}, data_dir / "data", process)
        try:
            yield Own(model, git, await _page_url(process), bot)
        finally:
            await bot.end(signal.SIGINT)
            bot.clean_up()


async def _page_url(process: asyncio.subprocess.Process) -> str:
    """The address that the last lines of a start name."""
    assert process.stderr is not None
    said = ""
    async with asyncio.timeout(60):
        async for line in process.stderr:
            said += line.decode()
            if found := re.search(r"Open +(http://\S+)", said):
                return found.group(1)
    pytest.fail(said)


async def test_an_agent_of_ones_own_model_works_on_ones_own_repository(own: Own) -> None:
    shown = await own.get("/playground/page?as=ana")
    assert shown["is_scripted"] is False
    assert shown["model"] == "scripted/scripted-model"
    assert shown["git_url"] == own.git.url
    assert shown["demonstrations"] == []

    async with aiohttp.ClientSession(own.page_url) as session:
        command = {"command": "/agent", "text": f"{REPOSITORY} say hello"}
        async with session.post("/playground/people/ana/slash", json=command) as answer:
            assert (await answer.json())["result"]["error"] == ""
        async with asyncio.timeout(60), session.get("/playground/feed?after=0") as feed:
            async for line in feed.content:
                if b"Task 1" in line and b"steps" in line:
                    break
    asked = own.model.feed.entries("model_request")
    assert asked
    assert all(entry.data["model"] == "scripted/scripted-model" for entry in asked)
    cloned = own.git.feed.entries("git_request")
    assert {entry.data["repository"] for entry in cloned} == {REPOSITORY}
    calls = await own.get("/playground/calls")
    assert KEY not in str(calls)
    assert TOKEN not in str(calls)
