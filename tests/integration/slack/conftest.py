"""A small Slack of our own, a client for it, a store, and a sender between them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from bot.store.agents import SqlStore
from tests.harness.app import open_store
from tests.integration.slack.bench import SlackBench
from tests.integration.slack.fake_slack import FakeSlack, agent


@pytest.fixture
async def slack() -> AsyncIterator[FakeSlack]:
    fake = FakeSlack()
    app = web.Application()
    app.router.add_post("/upload/{id}", fake.upload)
    app.router.add_route("*", "/api/{method}", fake.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield fake
    await runner.cleanup()


@pytest.fixture
def client(slack: FakeSlack) -> AsyncWebClient:
    return AsyncWebClient(token="xoxb-canary", base_url=f"{slack.url}/api/", retry_handlers=[])


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = await open_store(tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
async def bench(store: SqlStore, client: AsyncWebClient, slack: FakeSlack) -> SlackBench:
    bench = SlackBench(store, client)
    slack.clock = bench.clock.now
    async with store.transaction() as tx:
        await tx.add_agent(agent("a1"))
    return bench
