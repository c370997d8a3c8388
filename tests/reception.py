"""The real desks of the bot in front of a stage, for tests with real Slack listeners."""

from dataclasses import dataclass

from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.gate import Gate
from bot.slack.desk import Desk
from bot.slack.inbox import Inbox
from bot.slack.listeners import register_listeners
from bot.slack.people import SlackPeople
from bot.slack.sealing import Sealing
from bot.slack.secrets_desk import SecretsDesk
from bot.slack.usage_desk import UsageDesk
from playground.slack.state import TEAM_ID
from tests.stage import Stage

URL = "https://playground.invalid/"


@dataclass(frozen=True, slots=True)
class Reception:
    """What takes people's wishes."""

    desk: Desk
    secrets: SecretsDesk
    people: SlackPeople
    app: AsyncApp


def reception(stage: Stage, client: AsyncWebClient, inbox: Inbox) -> Reception:
    """The desks and an app with all listeners, wired as the bot wires them."""
    people = SlackPeople(client, TEAM_ID)
    gate = Gate(stage.world, people)
    secrets = SecretsDesk(stage.keyring, gate, client)
    world = stage.world
    usage = UsageDesk(stage.store.usage_rows, gate, client, world.settings, world.clock)
    desk = Desk(stage.service, gate, secrets, usage, client, max_steps=50, workspace_url=URL)
    app = AsyncApp(client=client, request_verification_enabled=False, signing_secret="canary")
    app.use(Sealing(stage.keyring.seal, stage.redact.known).middleware)
    app.use(inbox.middleware)
    register_listeners(app, desk, secrets, inbox, "octagonal_sign")
    return Reception(desk, secrets, people, app)
