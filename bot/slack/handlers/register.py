"""Every listener: acknowledge, translate, hand over to a desk."""

from slack_bolt.async_app import AsyncApp

from bot.slack.handlers import (
    buttons_listener,
    home_listener,
    messages_listener,
    modal_listener,
    models_listener,
    secrets_listener,
    slash_listener,
    start_listener,
    stop_listener,
)
from bot.slack.handlers.desks import Handlers
from bot.slack.inbox import Inbox


def register_listeners(app: AsyncApp, desks: Handlers, inbox: Inbox, stop_reaction: str) -> None:
    """Attach all listeners; what is subscribed in the manifest has one here."""
    slash_listener.register(app, desks.words, inbox)
    start_listener.register(app, desks.starting, inbox)
    messages_listener.register(app, desks.words, inbox)
    stop_listener.register(app, desks.words, inbox, stop_reaction)
    buttons_listener.register(app, desks, inbox)
    secrets_listener.register(app, desks.secrets, inbox)
    home_listener.register(app, desks.home, desks.words, inbox)
    modal_listener.register(app, desks.results, inbox)
    models_listener.register(app, desks.models, inbox)
