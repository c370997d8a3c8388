"""Ways to stop, interrupt and pause without words: reactions, shortcuts, Slack's own button."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext

from bot.domain.replies import Intent
from bot.slack.events import reaction_name
from bot.slack.handlers.commands import CommandHandlers
from bot.slack.inbox import Inbox

STOP_SHORTCUT = "stop_agent"
INTERRUPT_SHORTCUT = "interrupt_agent"
PAUSE_SHORTCUT = "pause_agent"
# The one that stops is a setting.
REACTIONS = {"black_square_for_stop": Intent.INTERRUPT, "double_vertical_bar": Intent.PAUSE}


def register(app: AsyncApp, desk: CommandHandlers, inbox: Inbox, stop_reaction: str) -> None:
    """Attach them; `stop_reaction` is its name without colons."""
    meanings = REACTIONS | {stop_reaction: Intent.STOP}

    @app.event("reaction_added")
    @inbox.finishes
    async def on_reaction(
        body: dict[str, Any], event: dict[str, Any], context: AsyncBoltContext
    ) -> None:
        item = event["item"]
        ours = item.get("type") == "message" and event["user"] != context.bot_user_id
        meant = meanings.get(reaction_name(event["reaction"]))
        if ours and meant is not None:
            await desk.pointed(meant, body["team_id"], item["channel"], item["ts"], event["user"])

    @app.event("agent_session_stopped")
    @inbox.finishes
    async def on_session(body: dict[str, Any], event: dict[str, Any]) -> None:
        team, channel, ts = body["team_id"], event["channel"], event["thread_ts"]
        await desk.pointed(Intent.STOP, team, channel, ts, event["user"])

    async def by_shortcut(meant: Intent, body: dict[str, Any]) -> None:
        message = body["message"]
        ts = message.get("thread_ts") or message["ts"]
        channel, user = body["channel"]["id"], body["user"]["id"]
        await desk.pointed(meant, body["team"]["id"], channel, ts, user)

    @app.shortcut(STOP_SHORTCUT)
    @inbox.finishes
    async def on_stop(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await by_shortcut(Intent.STOP, body)

    @app.shortcut(INTERRUPT_SHORTCUT)
    @inbox.finishes
    async def on_interrupt(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await by_shortcut(Intent.INTERRUPT, body)

    @app.shortcut(PAUSE_SHORTCUT)
    @inbox.finishes
    async def on_pause(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await by_shortcut(Intent.PAUSE, body)
