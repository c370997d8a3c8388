from collections.abc import AsyncIterator

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from playground.server import Playground, PlaygroundSettings, running
from playground.slack.slack_settings import SlackSettings
from tests.integration.playground.bolt import Bolt

QUICK = SlackSettings(ack_timeout_seconds=0.3, retry_delays_seconds=(0.0, 0.05, 0.1))


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    async with running(PlaygroundSettings(slack=QUICK)) as running_playground:
        yield running_playground


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as open_session:
        yield open_session


@pytest.fixture
def client(playground: Playground, session: aiohttp.ClientSession) -> AsyncWebClient:
    return AsyncWebClient(
        token=playground.bot_token, base_url=playground.slack_url, session=session
    )


@pytest.fixture
async def bolt(playground: Playground, client: AsyncWebClient) -> AsyncIterator[Bolt]:
    """An app of the real framework; the test adds listeners, then calls `connect`."""
    app = AsyncApp(name="tests", client=client, signing_secret=playground.signing_secret)
    ours = Bolt(app, playground)
    yield ours
    await ours.close()
