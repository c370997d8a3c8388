"""Every listener: acknowledge, translate, hand over to the desk."""

from slack_bolt.async_app import AsyncApp

from bot.slack.desk import Desk
from bot.slack.inbox import Inbox
from bot.slack.listeners import buttons, messages, secrets, slash, stop
from bot.slack.secrets_desk import SecretsDesk


def register_listeners(
    app: AsyncApp, desk: Desk, secrets_desk: SecretsDesk, inbox: Inbox, stop_reaction: str
) -> None:
    """Attach all listeners; what is subscribed in the manifest has one here."""
    slash.register(app, desk, inbox)
    messages.register(app, desk, inbox)
    stop.register(app, desk, inbox, stop_reaction)
    buttons.register(app, desk, inbox)
    secrets.register(app, secrets_desk, inbox)
