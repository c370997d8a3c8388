"""All the desks that people's wishes come to, put together once."""

from dataclasses import dataclass

from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.gate import Gate
from bot.agents.keyring import Keyring
from bot.agents.service import AgentService
from bot.slack.aside import Aside
from bot.slack.buttons_desk import ButtonsDesk
from bot.slack.desk import Desk
from bot.slack.secrets_desk import SecretsDesk


@dataclass(frozen=True, slots=True)
class Desks:
    """Words, clicks, secrets: each kind of wish has its desk."""

    words: Desk
    buttons: ButtonsDesk
    secrets: SecretsDesk


def open_desks(
    service: AgentService,
    gate: Gate,
    keyring: Keyring,
    client: AsyncWebClient,
    *,
    max_steps: int,
    workspace_url: str,
) -> Desks:
    """The desks in front of one service; `max_steps` is the most that a task may ask for."""
    aside = Aside(client, service.hide)
    secrets = SecretsDesk(keyring, gate, client)
    words = Desk(
        service, gate, secrets, client, aside, max_steps=max_steps, workspace_url=workspace_url
    )
    return Desks(words, ButtonsDesk(service, gate, aside), secrets)
