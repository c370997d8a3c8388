"""The start form, and the shortcut that opens it from a message."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncRespond

from bot.agents.service import Origin
from bot.slack.handlers.start import StartHandlers
from bot.slack.inbox import Inbox
from bot.slack.views.start_form import CALLBACK, REPOSITORY, place_of, read_form

START_SHORTCUT = "start_agent"


def register(app: AsyncApp, desk: StartHandlers, inbox: Inbox) -> None:
    """Attach the form's submission and the shortcut."""

    @app.shortcut(START_SHORTCUT)
    @inbox.finishes
    async def on_shortcut(ack: AsyncAck, body: dict[str, Any], respond: AsyncRespond) -> None:
        await ack()

        async def tell(text: str) -> None:
            await respond(text=text, response_type="ephemeral", replace_original=False)

        await desk.from_message(body, tell)

    @app.options(REPOSITORY)
    async def on_options(ack: AsyncAck, body: dict[str, Any]) -> None:
        place = place_of(body.get("view") or {})
        origin = Origin(body["team"]["id"], place.channel, body["user"]["id"])
        await ack(options=await desk.options(origin, str(body.get("value") or "")))

    @app.view(CALLBACK)
    @inbox.finishes
    async def on_form(ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        command, errors = read_form(view)
        if command is None:
            await ack(response_action="errors", errors=errors)
            return
        await ack()
        place = place_of(view)
        team, user = body["team"]["id"], body["user"]["id"]
        origin = Origin(team, place.channel, user, view["id"], place.thread_ts)
        await desk.form(command, origin, place)
