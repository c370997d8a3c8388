"""The buttons of the live card and of the answer."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.slack.desk import Desk
from bot.slack.inbox import Inbox
from bot.slack.render.card import BUDGETS, CONTINUE, INTERRUPT, PATCH, STOP


def register(app: AsyncApp, desk: Desk, inbox: Inbox) -> None:
    """Attach every button of card and answer; a button's value is `agent:task`."""

    @app.action(INTERRUPT)
    @inbox.finishes
    async def on_interrupt(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await desk.interrupt(*_who(body))

    @app.action(STOP)
    @inbox.finishes
    async def on_stop(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await desk.stop(*_who(body))

    @app.action(PATCH)
    @inbox.finishes
    async def on_patch(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await desk.patch(*_who(body), request=str(body["trigger_id"]))

    @app.action(CONTINUE)
    @inbox.finishes
    async def on_continue(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        task_id = str(body["actions"][0]["value"]).partition(":")[2]
        await desk.go_on(*_who(body), task_id=task_id)

    async def on_budget(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        action = body["actions"][0]
        task_id = str(action["value"]).partition(":")[2]
        usd = BUDGETS[action["action_id"]]
        await desk.add_budget(*_who(body), task_id=task_id, usd=usd)

    for name in BUDGETS:
        app.action(name)(inbox.finishes(on_budget))


def _who(body: dict[str, Any]) -> tuple[str, str, str, str | None]:
    agent_id = str(body["actions"][0]["value"]).partition(":")[0]
    thread_ts = body.get("message", {}).get("thread_ts")
    return agent_id, body["user"]["id"], body["channel"]["id"], thread_ts
