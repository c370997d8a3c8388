"""The Home tab: opened, an agent stopped from it, one's defaults changed."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.errors import UserError
from bot.slack.handlers.commands import CommandHandlers
from bot.slack.handlers.home import HomeHandlers
from bot.slack.inbox import Inbox
from bot.slack.views.home import DEFAULTS, OPEN_DEFAULTS, STOP_HERE, read_defaults
from bot.slack.views.text import below_field


def register(app: AsyncApp, desk: HomeHandlers, words: CommandHandlers, inbox: Inbox) -> None:
    """Attach the tab's event, its buttons and the form for one's defaults."""

    @app.event("app_home_opened")
    @inbox.finishes
    async def on_opened(body: dict[str, Any], event: dict[str, Any]) -> None:
        if event.get("tab") == "home":
            await desk.opened(body["team_id"], event["user"])

    @app.action(STOP_HERE)
    @inbox.finishes
    async def on_stop(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        agent_id = str(body["actions"][0]["value"]).partition(":")[0]
        team, user = body["team"]["id"], body["user"]["id"]
        await words.stop_from_home(agent_id, team, user)
        await desk.opened(team, user)

    @app.action(OPEN_DEFAULTS)
    @inbox.finishes
    async def on_change(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await desk.open_defaults(body["trigger_id"], body["team"]["id"], body["user"]["id"])

    @app.view(DEFAULTS)
    @inbox.finishes
    async def on_defaults(ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        team, user = body["team"]["id"], body["user"]["id"]
        typed, errors = read_defaults(view)
        if not errors:
            try:
                errors = await desk.set_defaults(typed, team, user)
            except UserError as error:
                errors = {"repo": below_field(error)}
        if errors:
            await ack(response_action="errors", errors=errors)
            return
        await ack()
        await desk.opened(team, user)
