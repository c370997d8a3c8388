"""Changes an agent's model by a form that opens from the modal with its steps."""

import asyncio
import logging
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.lifecycle.failures import why_not
from bot.agents.service import AgentService
from bot.domain.agent import Agent
from bot.domain.policy import Action
from bot.errors import ModelUnusable, UserError
from bot.log_setup import log_scope
from bot.redaction import Hide
from bot.slack.ephemeral import LATE, TOO_LATE
from bot.slack.handlers.results import AgentModals, ModalClick, View, known_location
from bot.slack.inbox import Inbox
from bot.slack.views.blocks import Block
from bot.slack.views.details import CHANGE_MODEL
from bot.slack.views.modal import ModalLocation, ModalView, sentence
from bot.slack.views.models import (
    CALLBACK,
    MODEL,
    TITLE,
    chosen_model,
    model_form,
    model_options,
)

logger = logging.getLogger(__name__)
_ANSWER_SECONDS = 2.0  # Slack waits three
_SLOW = "The model provider takes long to answer. Press Change again in a moment."


class ModelHandlers:
    """Lets who may steer an agent choose its model; each click is checked anew."""

    def __init__(
        self,
        service: AgentService,
        authorization: Authorization,
        client: AsyncWebClient,
        modals: AgentModals,
        hide: Hide,
    ) -> None:
        self._service = service
        self._authorization = authorization
        self._client = client
        self._modals = modals
        self._hide = hide

    async def open_form(self, click: ModalClick) -> None:
        """Puts the form on top of the modal; a refusal is said in the modal."""
        with log_scope(user=click.user):
            refusal = await self._modals.view_or_refusal(TITLE, self._open(click))
            if refusal:
                await self._modals.update(click.view_id, refusal)

    async def _open(self, click: ModalClick) -> View:
        agent = await self._agent_to_steer(click.location, click.user)
        form = model_form(ModalLocation(ModalView.STEPS, agent.id, ""), agent.model)
        try:
            await self._client.views_push(trigger_id=click.trigger_id, view=form)
        except SlackApiError as error:
            if error.response.get("error") in LATE:
                raise UserError(TOO_LATE) from error
            raise
        return {}

    async def list_options(
        self, location: ModalLocation | None, user: str, typed: str
    ) -> list[Block]:
        """Returns the models to choose from, for who may change it."""
        try:
            await self._agent_to_steer(location, user)
        except UserError:
            return []
        try:
            offers = await self._service.gateway.models()
        except UserError as error:  # a name can be typed even so
            logger.info("the menu of models has no list: %s", error)
            offers = []
        return model_options(offers, typed)

    async def change_model(
        self, location: ModalLocation | None, model: str, user: str, view_id: str
    ) -> dict[str, Any]:
        """Changes the model as the form asks; returns the acknowledgement of the form, in time."""
        change = self._change(location, model, user, view_id)
        with log_scope(user=user):
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    view = await self._modals.view_or_refusal(TITLE, change)
            except (ModelUnusable, TimeoutError) as error:
                logger.info("no change of the model: %r", error)
                why = error.user_text if isinstance(error, ModelUnusable) else _SLOW
                # A field's error is plain text.
                errors = {MODEL: self._hide(why).replace("`", "")}
                return {"response_action": "errors", "errors": errors}
            return {"response_action": "update", "view": view}

    async def _change(
        self, location: ModalLocation | None, model: str, user: str, view_id: str
    ) -> View:
        agent = await self._agent_to_steer(location, user)
        text = await self._service.model_control.choose_model(agent.id, model, user, view_id)
        await self._authorization.note(Action.STEER, user, agent.id)
        return sentence(TITLE, text)

    async def _agent_to_steer(self, location: ModalLocation | None, user: str) -> Agent:
        agent = await self._modals.agent_of(known_location(location), Action.STEER, user)
        if not agent.alive:
            raise UserError(why_not(agent))
        return agent


def register(app: AsyncApp, inbox: Inbox, models: ModelHandlers) -> None:
    """Attaches the button, the menu's options and the submission."""

    @app.action(CHANGE_MODEL)
    @inbox.finishes
    async def on_button(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await models.open_form(ModalClick.from_payload(body))

    @app.options(MODEL)
    async def on_options(ack: AsyncAck, body: dict[str, Any]) -> None:
        view = body.get("view") or {}
        location = ModalLocation.unpacked(str(view.get("private_metadata") or ""))
        typed = str(body.get("value") or "")
        await ack(options=await models.list_options(location, body["user"]["id"], typed))

    @app.view(CALLBACK)
    @inbox.finishes
    async def on_form(ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        model = chosen_model(view)
        if not model:
            await ack(response_action="errors", errors={MODEL: "That is no model's name."})
            return
        location = ModalLocation.unpacked(str(view.get("private_metadata") or ""))
        await ack(**await models.change_model(location, model, body["user"]["id"], view["id"]))
