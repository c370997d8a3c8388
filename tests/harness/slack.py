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
from tests.harness.app import Stage

URL = "https://playground.invalid/"


@dataclass(frozen=True, slots=True)
class SlackHarness:
    """Holds an app with all listeners."""

    handlers: Handlers
    people: SlackPeople
    app: AsyncApp


def slack_harness(stage: Stage, client: AsyncWebClient, inbox: Inbox) -> SlackHarness:
    """Make an app with all handlers, wired as the bot wires them."""
    people = SlackPeople(client, TEAM_ID)
    app = AsyncApp(client=client, request_verification_enabled=False, signing_secret="canary")
    app.use(SecretMiddleware(stage.keyring.seal, stage.redact.known).middleware)
    app.use(inbox.middleware)
    handlers = register_handlers(
        app,
        inbox,
        stage.service,
        Authorization(stage.world, people),
        stage.world,
        client,
        stored_secrets=stage.keyring,
        usage=stage.store.usage_rows,
        publishing=Publishing(
            stage.world,
            stage.pulls,
            stage.writer.write,
            stage.service.results,
            stage.store.thread_rows.speakers,
        ),
        workspace_url=URL,
    )
    stage.store.on_saved = handlers.note_change
    return SlackHarness(handlers, people, app)
