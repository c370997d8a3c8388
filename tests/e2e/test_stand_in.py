"""`threadsmith run` without Slack, with a model of one's own: the page works, and asks that one."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from playground.event_feed import EventFeed
from playground.model.server import ModelSettings, model_running
from tests.e2e.conftest import Bot

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]

KEY = "sk-canary-of-another-provider"
MODEL = "openai/gpt-4o"


@dataclass
class Page:
    """The page's own HTTP interface, as @ana uses it."""

    url: str
    session: aiohttp.ClientSession

    async def get(self, path: str) -> Any:
        async with self.session.get(f"{self.url}playground/{path}") as answer:
            return await answer.json()

    async def act(self, act: str, **arguments: str) -> Any:
        url = f"{self.url}playground/people/ana/{act}"
        async with self.session.post(url, json=arguments) as answer:
            return await answer.json()

    async def message(self, contains: str, path: str) -> dict[str, Any]:
        """A message of a channel or a thread, once it is there."""
        async with asyncio.timeout(60):
            while True:
                shown = (await self.get(f"people/ana/channels/{path}"))["messages"]
                for message in shown:
                    if contains in str(message.get("blocks")) + message["text"]:
                        return dict(message)
                await asyncio.sleep(0.1)  # its feed is a stream; this is shorter


@asynccontextmanager
async def run(folder: Path, **settings: str) -> AsyncIterator[tuple[Page, list[str]]]:
    """`threadsmith run` in a folder of its own; what it said until the page was there."""
    ours = ("SLACK_", "OPENROUTER", "GITHUB", "AGENT_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("threadsmith"),
        "run",
        env={**clean, "DATA_DIR": str(folder), **settings},
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        async with asyncio.timeout(40):
            while not (found := re.search(r"Open\s+(http://\S+)", "".join(said))):
                line = (await process.stdout.readline()).decode()
                assert line, "".join(said)
                said.append(line)
        async with aiohttp.ClientSession() as session:
            yield Page(found[1], session), said
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            said.append((await process.stdout.read()).decode())
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        Bot({}, folder).clean_up()


async def test_the_page_works_with_a_provider_of_ones_own(engine: None, tmp_path: Path) -> None:
    settings = ModelSettings(api_key=KEY)
    async with model_running(settings, EventFeed()) as provider:
        own = {"OPENROUTER_API_KEY": KEY, "OPENROUTER_BASE_URL": provider.url}
        async with run(tmp_path, AGENT_MODEL=MODEL, **own) as (page, said):
            assert f"answers come from {MODEL}" in "".join(said)
            shown = await page.get("page?as=ana")
            assert (shown["is_scripted"], shown["model"]) == (False, MODEL)
            assert shown["demonstrations"] == []  # what is scripted is not offered
            assert "demo/todo" in shown["repositories"]

            await page.act("slash", command="/agent", text="demo/todo fix the failing test")
            root = await page.message("fix the failing test", "general")
            answer = await page.message("all pass", f"general/{root['ts']}")
            assert "gpt-4o" in str(answer["blocks"])
            assert {one.body["model"] for one in provider.requests} == {MODEL}
            await page.act("react", channel="general", ts=root["ts"], name="octagonal_sign")
            await page.message("Stopped by", f"general/{root['ts']}")
        assert KEY not in "".join(said)
