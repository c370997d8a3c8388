"""The modals for secrets: add, store, remove."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.slack.handlers.secrets import SecretHandlers
from bot.slack.inbox import Inbox
from bot.slack.views.secrets import ADD, FORM, REMOVE, read_secret_form, ref_of_button


def register(app: AsyncApp, desk: SecretHandlers, inbox: Inbox) -> None:
    """Attach the buttons of the list, and the form's submission."""

    @app.action(ADD)
    @inbox.finishes
    async def on_add(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        user, channel = body["user"]["id"], body["view"]["private_metadata"]
        await desk.add(body["trigger_id"], user, channel)

    @app.action(REMOVE)
    @inbox.finishes
    async def on_remove(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        view = body["view"]
        ref = ref_of_button(body["actions"][0]["value"], body["team"]["id"])
        await desk.remove(ref, body["user"]["id"], view["private_metadata"], view["id"])

    @app.view(FORM)
    @inbox.finishes
    async def on_form(ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        team, user, channel = body["team"]["id"], body["user"]["id"], view["private_metadata"]
        form, errors = read_secret_form(view, team, user)
        if form is not None:
            errors = await desk.store(form, user, channel)
        if errors:
            await ack(response_action="errors", errors=errors)
            return
        await ack()
        await desk.refresh(view.get("previous_view_id") or "", user, team, channel)
