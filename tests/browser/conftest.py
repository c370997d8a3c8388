"""The page with the real bot behind it, and a real Chromium in front."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from playground.server import PlaygroundSettings, running
from tests.browser.chrome import Browser, Page, chrome
from tests.browser.workspace import Workspace, workspace_running
from tests.e2e.conftest import Deployment, deployed, engine

__all__ = ["engine"]

MODEL = "scripted/scripted-model"


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests."""
    with chrome(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(
    engine: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    """What `make run` starts: a playground and a bot, with the scripted model."""
    data_dir: Path = tmp_path_factory.mktemp("data")
    async with (
        running(PlaygroundSettings()) as playground,
        deployed(playground, data_dir, {"AGENT_MODEL": MODEL}) as deployment,
    ):
        yield deployment


@asynccontextmanager
async def _window(browser: Browser, url: str) -> AsyncIterator[Page]:
    """Opens a window on a page and closes it."""
    browser.errors()
    window = await browser.page()
    await window.open(url)
    yield window
    await window.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(deployment: Deployment, browser: Browser) -> AsyncIterator[Page]:
    """A window on the page; nothing may have gone wrong in it."""
    async with _window(browser, deployment.playground.page_url) as window:
        yield window
    if deployment.bot.containers():
        deployment.bot.remove_agents()  # one failure is enough; the next test starts with nothing
    assert browser.errors() == []


@pytest_asyncio.fixture
async def workspace() -> AsyncIterator[Workspace]:
    """A workspace without the bot, for what needs no container."""
    async with workspace_running() as running_workspace:
        yield running_workspace


@pytest_asyncio.fixture
async def view(workspace: Workspace, browser: Browser) -> AsyncIterator[Page]:
    """A window on that workspace; nothing may have gone wrong in it."""
    async with _window(browser, workspace.playground.page_url) as window:
        yield window
    assert browser.errors() == []
