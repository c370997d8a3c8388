"""The buttons inside the windows that show an agent's steps and changes."""

import re
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.slack.handlers.results import ModalClick, ResultHandlers
from bot.slack.inbox import Inbox
from bot.slack.views.modal import POST, TURN


def register(app: AsyncApp, desk: ResultHandlers, inbox: Inbox) -> None:
    """Attach them; a button's value is the place that it leads to."""

    @app.action(re.compile(f"^{TURN}:"))
    @inbox.finishes
    async def on_turn(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await desk.turn(ModalClick.of(body))

    @app.action(POST)
    @inbox.finishes
    async def on_post(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await desk.post(ModalClick.of(body))
