"""Messages of people: replies in our threads, mentions, direct messages."""

from typing import Any

from slack_bolt.async_app import AsyncApp, AsyncBoltContext

from bot.slack.desk import Desk
from bot.slack.inbox import Inbox
from bot.slack.incoming import person_message


def register(app: AsyncApp, desk: Desk, inbox: Inbox) -> None:
    """Attach both events that a message may arrive as."""

    async def take(body: dict[str, Any], event: dict[str, Any], context: AsyncBoltContext) -> None:
        message = person_message(body, event, context.bot_user_id or "")
        if message is not None:
            await desk.message(message, mention_event=event["type"] == "app_mention")

    app.event("message")(inbox.finishes(take))
    app.event("app_mention")(inbox.finishes(take))
