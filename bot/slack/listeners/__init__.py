"""Every listener: acknowledge, translate, hand over to a desk."""

from slack_bolt.async_app import AsyncApp

from bot.slack.desks import Desks
from bot.slack.inbox import Inbox
from bot.slack.listeners import (
    buttons,
    home,
    messages,
    models,
    secrets,
    slash,
    start,
    stop,
    windows,
)


def register_listeners(app: AsyncApp, desks: Desks, inbox: Inbox, stop_reaction: str) -> None:
    """Attach all listeners; what is subscribed in the manifest has one here."""
    slash.register(app, desks.words, inbox)
    start.register(app, desks.starting, inbox)
    messages.register(app, desks.words, inbox)
    stop.register(app, desks.words, inbox, stop_reaction)
    buttons.register(app, desks, inbox)
    secrets.register(app, desks.secrets, inbox)
    home.register(app, desks.home, desks.words, inbox)
    windows.register(app, desks.results, inbox)
    models.register(app, desks.models, inbox)
