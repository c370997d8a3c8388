"""A workspace with an app of the test's own in it: real Bolt, no bot and no container."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from playground.server import Playground, PlaygroundSettings, running
from tests.integration.playground.bolt import Bolt


@dataclass(frozen=True)
class Workspace:
    """`client` calls the API as the app; `bolt` takes listeners, and hears after `connect`."""

    playground: Playground
    client: AsyncWebClient
    bolt: Bolt


@asynccontextmanager
async def workspace_running() -> AsyncIterator[Workspace]:
    async with running(PlaygroundSettings()) as playground, aiohttp.ClientSession() as session:
        client = AsyncWebClient(
            token=playground.bot_token, base_url=playground.slack_url, session=session
        )
        app = AsyncApp(name="tests", client=client, signing_secret=playground.signing_secret)
        bolt = Bolt(app, playground)
        try:
            yield Workspace(playground, client, bolt)
        finally:
            await bolt.close()
