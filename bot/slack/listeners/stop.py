"""Ways to stop that are not words: the reaction, Slack's own button, the message shortcut."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp, AsyncBoltContext

from bot.slack.desk import Desk
from bot.slack.inbox import Inbox
from bot.slack.incoming import reaction_name

SHORTCUT = "stop_agent"


def register(app: AsyncApp, desk: Desk, inbox: Inbox, stop_reaction: str) -> None:
    """Attach the stop reaction (its name without colons) and the shortcut."""

    @app.event("reaction_added")
    @inbox.finishes
    async def on_reaction(
        body: dict[str, Any], event: dict[str, Any], context: AsyncBoltContext
    ) -> None:
        item = event["item"]
        ours = item.get("type") == "message" and event["user"] != context.bot_user_id
        if ours and reaction_name(event["reaction"]) == stop_reaction:
            await desk.reaction(body["team_id"], item["channel"], item["ts"], event["user"])

    @app.event("agent_session_stopped")
    @inbox.finishes
    async def on_session(body: dict[str, Any], event: dict[str, Any]) -> None:
        await desk.reaction(body["team_id"], event["channel"], event["thread_ts"], event["user"])

    @app.shortcut(SHORTCUT)
    @inbox.finishes
    async def on_shortcut(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        message = body["message"]
        ts = message.get("thread_ts") or message["ts"]
        await desk.reaction(body["team"]["id"], body["channel"]["id"], ts, body["user"]["id"])
