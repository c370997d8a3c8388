"""The real listeners in Bolt, between a playground workspace and the core with its fakes."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from slack_bolt.async_app import AsyncApp, AsyncBoltRequest
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.agent import Agent, AgentStatus
from bot.slack.handlers.register import Handlers
from playground.slack.event_delivery import DeliveryFailed, OutgoingPayload
from playground.slack.slack_settings import SlackSettings
from playground.slack.slack_state import Json
from playground.slack.slack_workspace import SlackWorkspace
from playground.slack.user_client import UserClient
from tests.harness.app import AppHarness
from tests.harness.slack import app_and_slack, slack_harness
from tests.harness.watched_inbox import WatchedInbox, settled


class InProcess:
    """Hands payloads to the app without a socket between."""

    def __init__(self, app: AsyncApp) -> None:
        self._app = app

    async def send(self, parcel: OutgoingPayload) -> Json | str | None:
        """The app's acknowledgement."""
        request = AsyncBoltRequest(mode="socket_mode", body=parcel.payload)
        response = await self._app.async_dispatch(request)
        if response.status != 200:
            raise DeliveryFailed("http_error")
        body: Json | str | None = json.loads(response.body) if response.body else None
        return body


@dataclass
class Office:
    """A workspace with people, the app in it, and the core behind."""

    harness: AppHarness
    slack: SlackWorkspace
    client: AsyncWebClient
    app: AsyncApp
    inbox: WatchedInbox
    handlers: Handlers

    def person(self, name: str) -> UserClient:
        return UserClient(self.slack, self.slack.state.user(name))

    async def agents(self, count: int = 1) -> list[Agent]:
        """The agents, once there are so many."""

        async def look() -> list[Agent] | None:
            found = await self.harness.store.agents(alive=False)
            return list(found) if len(found) == count else None

        return await self.harness.changes.found(look)

    async def in_thread(self, text: str = "acme/api fix it") -> tuple[Agent, str]:
        """A working agent that @ana started by a mention; and the root of its thread."""
        ts = await self.person("ana").say(text, mention=True)
        (agent,) = await self.agents()
        return await self.harness.reaches(agent.id, AgentStatus.WORKING), ts

    async def settle(self) -> None:
        """Wait until every listener has ended, those too that had nothing to do."""
        await settled(self.harness, self.slack)


@pytest.fixture
async def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    for part in ("run", "message_delivery"):
        monkeypatch.setattr(f"bot.agents.lifecycle.{part}.RETRY_SECONDS", 0.001)
    settings = SlackSettings(limits_enabled=False)
    async with app_and_slack(tmp_path, settings) as (harness, slack, client):
        inbox = WatchedInbox(harness)
        listening = slack_harness(harness, client, inbox)
        app = listening.app
        slack.delivery.transport = InProcess(app)
        office = Office(harness, slack, client, app, inbox, listening.handlers)
        yield office
        await office.settle()
