"""Puts the bot's real Slack handlers in front of a stage, for tests with real listeners."""

from dataclasses import dataclass

from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.publishing import Publishing
from bot.slack.handlers.register import Handlers, register_handlers
from bot.slack.identity import SlackPeople
from bot.slack.inbox import Inbox
from bot.slack.secret_middleware import SecretMiddleware
from playground.slack.slack_state import TEAM_ID
from tests.harness.app import AppHarness

URL = "https://playground.invalid/"


@dataclass(frozen=True, slots=True)
class SlackHarness:
    """Holds an app with all listeners."""

    handlers: Handlers
    people: SlackPeople
    app: AsyncApp


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
        usage=harness.store.usage_rows,
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
