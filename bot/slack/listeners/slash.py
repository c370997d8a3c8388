"""`/agent`, and the form that it opens."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.agents.service import Origin
from bot.slack.desk import Desk
from bot.slack.inbox import Inbox
from bot.slack.render.form import CALLBACK, read_form


def register(app: AsyncApp, desk: Desk, inbox: Inbox) -> None:
    """Attach the slash command and the form's submission."""

    @app.command("/agent")
    @inbox.finishes
    async def on_command(ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        await ack()

        async def tell(text: str) -> None:
            await respond(text=desk.hide(text), response_type="ephemeral")

        await desk.slash(body, tell)

    @app.view(CALLBACK)
    @inbox.finishes
    async def on_form(ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        command, errors = read_form(view)
        if command is None:
            await ack(response_action="errors", errors=errors)
            return
        await ack()
        origin = Origin(
            body["team"]["id"], view["private_metadata"], body["user"]["id"], claim=view["id"]
        )
        await desk.form(command, origin)
