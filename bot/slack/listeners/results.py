"""The buttons that open windows on an agent's results, and those in the windows."""

import re
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.slack.buttons_desk import Click
from bot.slack.inbox import Inbox
from bot.slack.publish_desk import PublishDesk
from bot.slack.render.card import DETAILS, DIFF, PULL, PUSH
from bot.slack.render.windows import POST, TURN, Shows
from bot.slack.results_desk import ResultsDesk, WindowClick


def register(app: AsyncApp, desk: ResultsDesk, publish: PublishDesk, inbox: Inbox) -> None:
    """Attach them; a button's value is `agent:task` in a message, a place in a window."""

    @app.action(DETAILS)
    @inbox.finishes
    async def on_details(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await desk.open(Shows.STEPS, Click.of(body))

    @app.action(DIFF)
    @inbox.finishes
    async def on_diff(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await desk.open(Shows.FILES, Click.of(body))

    @app.action(PUSH)
    @inbox.finishes
    async def on_push(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await publish.push(Click.of(body))

    @app.action(PULL)
    @inbox.finishes
    async def on_pull(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await publish.open(Click.of(body))

    @app.action(re.compile(f"^{TURN}:"))
    @inbox.finishes
    async def on_turn(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await desk.turn(WindowClick.of(body))

    @app.action(POST)
    @inbox.finishes
    async def on_post(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await desk.post(WindowClick.of(body))
