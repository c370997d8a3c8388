"""Messages of people: replies in our threads, mentions, direct messages, edits of them."""

from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltContext

from bot.slack.events import person_message, revised_message
from bot.slack.handlers.commands import CommandHandlers
from bot.slack.inbox import Inbox


def register(app: AsyncApp, desk: CommandHandlers, inbox: Inbox) -> None:
    """Attach both events that a message may arrive as."""

    async def take(body: dict[str, Any], event: dict[str, Any], context: AsyncBoltContext) -> None:
        bot_user_id = context.bot_user_id or ""
        message = person_message(body, event, bot_user_id)
        revised = revised_message(body, event, bot_user_id)
        if message is not None:
            await desk.message(message, mention_event=event["type"] == "app_mention")
        elif revised is not None:
            await desk.revised(revised)

    app.event("message")(inbox.finishes(take))
    app.event("app_mention")(inbox.finishes(take))
