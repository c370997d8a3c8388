"""Changes an agent's model by a form that opens from the window with its steps."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.lifecycle.failures import why_not
from bot.agents.service import AgentService
from bot.domain.agent import Agent
from bot.domain.policy import Action
from bot.errors import BotError, ModelUnusable, UserError
from bot.log_setup import log_scope
from bot.redaction import Hide
from bot.slack.ephemeral import FAILED, LATE, TOO_LATE
from bot.slack.handlers.results import OLD_WINDOW, ModalClick
from bot.slack.views.blocks import Block
from bot.slack.views.modal import ModalLocation, ModalView, sentence
from bot.slack.views.model_form import MODEL, TITLE, model_form, model_options

logger = logging.getLogger(__name__)
_ANSWER_SECONDS = 2.0  # Slack waits three
_SLOW = "The model provider takes long to answer. Press Change again in a moment."


class ModelHandlers:
    """Who may steer an agent may choose its model; each click is asked anew."""

    def __init__(
        self, service: AgentService, gate: Authorization, client: AsyncWebClient, hide: Hide
    ) -> None:
        self._service = service
        self._gate = gate
        self._client = client
        self._hide = hide

    async def open(self, click: ModalClick) -> None:
        """Put the form on top of the window; a refusal is said in the window."""
        with log_scope(user=click.user):
            said = await self._said(self._open(click))
            if said:
                await self._update(click.view_id, said)

    async def _open(self, click: ModalClick) -> str:
        agent = await self._allowed(click.place, click.user)
        form = model_form(ModalLocation(ModalView.STEPS, agent.id, ""), agent.model)
        try:
            await self._client.views_push(trigger_id=click.trigger_id, view=form)
        except SlackApiError as error:
            if error.response.get("error") in LATE:
                raise UserError(TOO_LATE) from error
            raise
        return ""

    async def options(self, place: ModalLocation | None, user: str, typed: str) -> list[Block]:
        """The models to choose from, for who may change it."""
        try:
            await self._allowed(place, user)
        except UserError:
            return []
        try:
            offers = await self._service.models()
        except UserError as error:  # a name can be typed even so
            logger.info("the menu of models has no list: %s", error)
            offers = []
        return model_options(offers, typed)

    async def change(
        self, place: ModalLocation | None, model: str, user: str, view_id: str
    ) -> dict[str, Any]:
        """The form was sent; how it is to be acknowledged, in time."""
        with log_scope(user=user):
            try:
                async with asyncio.timeout(_ANSWER_SECONDS):
                    said = await self._said(self._change(place, model, user, view_id))
            except (ModelUnusable, TimeoutError) as error:
                logger.info("no change of the model: %r", error)
                why = error.user_text if isinstance(error, ModelUnusable) else _SLOW
                # A field's error is plain text.
                return {
                    "response_action": "errors",
                    "errors": {MODEL: self._hide(why).replace("`", "")},
                }
            return {"response_action": "update", "view": sentence(TITLE, said)}

    async def _change(
        self, place: ModalLocation | None, model: str, user: str, view_id: str
    ) -> str:
        agent = await self._allowed(place, user)
        said = await self._service.choose_model(agent.id, model, user, view_id)
        await self._gate.note(Action.STEER, user, agent.id)
        return said

    async def _allowed(self, place: ModalLocation | None, user: str) -> Agent:
        if place is None:
            raise UserError(OLD_WINDOW)
        agent = await self._service.find(place.agent_id)
        await self._gate.require(Action.STEER, user, agent.team, agent.channel, agent=agent)
        if not agent.alive:
            raise UserError(why_not(agent))
        return agent

    async def _said(self, doing: Awaitable[str]) -> str:
        """What it says, or the sentence that says why it cannot be."""
        try:
            return await doing
        except ModelUnusable:
            raise
        except UserError as error:
            logger.info("refused: %s", error)
            return self._hide(error.user_text)
        except (BotError, SlackApiError):
            logger.exception("a model was not changed")
            return FAILED

    async def _update(self, view_id: str, said: str) -> None:
        """Say it in the window, if that is still open."""
        try:
            await self._client.views_update(view_id=view_id, view=sentence(TITLE, said))
        except SlackApiError as error:
            logger.info("a window is not shown anew: %s", error.response.get("error"))
