"""An unchanged Bolt app in Socket Mode against the playground, and what the tests ask of it."""

import asyncio
from typing import Any

import pytest
from slack_bolt.adapter.socket_mode.async_handler import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError

from playground.server import Playground


class Bolt:
    def __init__(self, app: AsyncApp, playground: Playground) -> None:
        self.app = app
        self.heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._playground = playground
        self._handler: AsyncSocketModeHandler | None = None

    async def connect(self) -> None:
        self._handler = AsyncSocketModeHandler(
            self.app, self._playground.app_token, web_client=self.app.client
        )
        await self._handler.connect_async()  # type: ignore[no-untyped-call]
        await self._playground.slack.socket_mode.connected()

    async def hear_messages(self) -> None:
        """Connects an app whose listener puts each message into `heard`."""

        @self.app.event("message")
        async def listen(event: dict[str, Any]) -> None:
            await self.heard.put(event)

        await self.connect()

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            return await self.heard.get()

    async def close(self) -> None:
        if self._handler is not None:
            await self._handler.close_async()  # type: ignore[no-untyped-call]


async def refused(call: Any) -> str:
    with pytest.raises(SlackApiError) as caught:
        await call
    return str(caught.value.response["error"])
