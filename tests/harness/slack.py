"""Puts the bot's real Slack handlers in front of an app harness, before a playground's Slack."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.publishing import Publishing
from bot.slack.handlers.register import Handlers, register_handlers
from bot.slack.identity import SlackPeople
from bot.slack.inbox import Inbox
from bot.slack.secret_middleware import SecretMiddleware
from playground.event_feed import EventFeed
from playground.slack.server import slack_running
from playground.slack.slack_settings import SlackSettings
from playground.slack.slack_state import TEAM_ID
from playground.slack.slack_workspace import SlackWorkspace
from tests.harness.app import AppHarness, app_harness

URL = "https://playground.invalid/"


@dataclass(frozen=True, slots=True)
class SlackHarness:
    """Holds an app with all listeners."""

    handlers: Handlers
    people: SlackPeople
    app: AsyncApp


@asynccontextmanager
async def app_and_slack(
    folder: Path, settings: SlackSettings
) -> AsyncIterator[tuple[AppHarness, SlackWorkspace, AsyncWebClient]]:
    """Runs a core with fakes and a playground's Slack, with a client of that Slack."""
    async with (
        app_harness(folder) as harness,
        slack_running(settings, EventFeed()) as slack,
        aiohttp.ClientSession() as session,
    ):
        client = AsyncWebClient(
            token=settings.bot_token,
            base_url=f"{slack.trigger_tokens.base_url}/api/",
            session=session,
            retry_handlers=[],
        )
        yield harness, slack, client


def slack_harness(harness: AppHarness, client: AsyncWebClient, inbox: Inbox) -> SlackHarness:
    """Makes an app with all handlers, wired as the bot wires them."""
    people = SlackPeople(client, TEAM_ID)
    app = AsyncApp(
        name="tests", client=client, request_verification_enabled=False, signing_secret="canary"
    )
    app.use(SecretMiddleware(harness.secrets.seal, harness.redact.known).middleware)
    app.use(inbox.middleware)
    handlers = register_handlers(
        app,
        inbox,
        harness.service,
        Authorization(harness.dependencies, people),
        harness.dependencies,
        client,
        stored_secrets=harness.secrets,
        publishing=Publishing(
            harness.dependencies,
            harness.pulls,
            harness.writer.write,
            harness.service.results,
            harness.store.speakers,
        ),
        workspace_url=URL,
    )
    harness.store.on_saved = handlers.note_change
    return SlackHarness(handlers, people, app)
