"""The button that changes an agent's model, its menu, and its form."""

from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.slack.handlers.models import ModelHandlers
from bot.slack.handlers.results import ModalClick
from bot.slack.inbox import Inbox
from bot.slack.views.details import CHANGE_MODEL
from bot.slack.views.modal import ModalLocation
from bot.slack.views.model_form import CALLBACK, MODEL, chosen_model


def register(app: AsyncApp, desk: ModelHandlers, inbox: Inbox) -> None:
    """Attach the button, the menu's options and the submission."""

    @app.action(CHANGE_MODEL)
    @inbox.finishes
    async def on_button(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await desk.open(ModalClick.of(body))

    @app.options(MODEL)
    async def on_options(ack: AsyncAck, body: dict[str, Any]) -> None:
        place = ModalLocation.unpacked(str((body.get("view") or {}).get("private_metadata") or ""))
        typed = str(body.get("value") or "")
        await ack(options=await desk.options(place, body["user"]["id"], typed))

    @app.view(CALLBACK)
    @inbox.finishes
    async def on_form(ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        model = chosen_model(view)
        if not model:
            await ack(response_action="errors", errors={MODEL: "That is no model's name."})
            return
        place = ModalLocation.unpacked(str(view.get("private_metadata") or ""))
        await ack(**await desk.change(place, model, body["user"]["id"], view["id"]))
