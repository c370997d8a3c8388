"""`/agent`."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.slack.handlers.commands import CommandHandlers
from bot.slack.inbox import Inbox


def register(app: AsyncApp, desk: CommandHandlers, inbox: Inbox) -> None:
    """Attach the slash command."""

    @app.command("/agent")
    @inbox.finishes
    async def on_command(ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        await ack()

        async def tell(text: str) -> None:
            await respond(text=desk.hide(text), response_type="ephemeral")

        await desk.slash(body, tell)
