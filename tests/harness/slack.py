"""The real desks of the bot in front of a stage, for tests with real Slack listeners."""

from dataclasses import dataclass

from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.publishing import Publishing
from bot.slack.handlers.commands import CommandHandlers
from bot.slack.handlers.desks import Handlers, open_desks
from bot.slack.handlers.register import register_listeners
from bot.slack.inbox import Inbox
from bot.slack.people import SlackPeople
from bot.slack.secret_middleware import SecretMiddleware
from playground.slack.slack_state import TEAM_ID
from tests.harness.app import Stage

URL = "https://playground.invalid/"


@dataclass(frozen=True, slots=True)
class Reception:
    """What takes people's wishes."""

    desks: Handlers
    people: SlackPeople
    app: AsyncApp

    @property
    def desk(self) -> CommandHandlers:
        """Where words go."""
        return self.desks.words


def reception(stage: Stage, client: AsyncWebClient, inbox: Inbox) -> Reception:
    """The desks and an app with all listeners, wired as the bot wires them."""
    people = SlackPeople(client, TEAM_ID)
    gate = Authorization(stage.world, people)
    desks = open_desks(
        stage.service,
        gate,
        stage.keyring,
        stage.store.usage_rows,
        stage.world,
        client,
        publishing=Publishing(
            stage.world,
            stage.pulls,
            stage.writer.write,
            stage.service.results,
            stage.store.thread_rows.speakers,
        ),
        workspace_url=URL,
    )
    app = AsyncApp(client=client, request_verification_enabled=False, signing_secret="canary")
    app.use(SecretMiddleware(stage.keyring.seal, stage.redact.known).middleware)
    app.use(inbox.middleware)
    stage.store.on_saved = desks.changed
    register_listeners(app, desks, inbox, "octagonal_sign")
    return Reception(desks, people, app)
