"""Lists, stores and removes secrets in modals."""

import logging
from collections.abc import Sequence
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.access.secrets import Secrets
from bot.domain.agent import SecretScope
from bot.domain.policy import Action
from bot.domain.secrets import (
    SecretEntry,
    SecretRef,
)
from bot.errors import UserError
from bot.slack.inbox import Inbox
from bot.slack.views.secrets import (
    ADD,
    FORM,
    REMOVE,
    VALUE,
    SecretForm,
    read_secret_form,
    ref_of_button,
    secret_form,
    secrets_list,
)
from bot.slack.views.text import below_field

logger = logging.getLogger(__name__)


class SecretHandlers:
    """Lets people manage their own secrets, admins those of channels, repositories, everyone."""

    def __init__(
        self, secrets: Secrets, authorization: Authorization, client: AsyncWebClient
    ) -> None:
        self._secrets = secrets
        self._authorization = authorization
        self._client = client

    async def open_list(self, trigger_id: str, user: str, team: str, channel: str) -> None:
        """Shows the stored secrets, without their values; raises NotAllowed."""
        await self._authorization.require(Action.SET_OWN_SECRET, user, team, channel)
        view = await self._list(user, team, channel)
        await self._client.views_open(trigger_id=trigger_id, view=view)

    async def open_form(self, trigger_id: str, user: str, channel: str) -> None:
        """Shows the form for a new secret."""
        view = secret_form(channel, admin=await self._authorization.is_admin(user))
        await self._client.views_push(trigger_id=trigger_id, view=view)

    async def store_secret(self, form: SecretForm, user: str, channel: str) -> dict[str, str]:
        """Stores what was typed; returns the errors by field, when nothing is stored."""
        try:
            await self._check(form.ref, user, channel)
        except UserError as error:
            return {"scope": below_field(error)}
        try:
            await self._secrets.put(form.ref, form.sealed, user, exposed=form.exposed)
        except UserError as error:
            logger.info("a secret was refused: %s", error)
            return {VALUE: below_field(error)}
        logger.info("a secret was stored: %s", form.ref)
        return {}

    async def remove_secret(self, ref: SecretRef, user: str, channel: str, view_id: str) -> None:
        """Removes a secret when the person may, and shows the list anew."""
        try:
            await self._check(ref, user, channel)
            await self._secrets.remove(ref, user)
        except UserError as error:
            logger.info("a secret was not removed: %s", error)
        await self.refresh_list(view_id, user, ref.team, channel)

    async def refresh_list(self, view_id: str, user: str, team: str, channel: str) -> None:
        """Shows the list anew, if it is still open."""
        try:
            view = await self._list(user, team, channel)
            await self._client.views_update(view_id=view_id, view=view)
        except SlackApiError as error:
            logger.info("the list of secrets is not shown anew: %s", error.response.get("error"))

    async def _check(self, ref: SecretRef, user: str, channel: str) -> None:
        own = ref.scope is SecretScope.USER and ref.owner == user
        action = Action.SET_OWN_SECRET if own else Action.ADMINISTER
        await self._authorization.require(action, user, ref.team, channel)

    async def _list(self, user: str, team: str, channel: str) -> dict[str, object]:
        admin = await self._authorization.is_admin(user)
        return secrets_list(_visible(self._secrets.entries(team), user, admin=admin), channel)


def _visible(entries: Sequence[SecretEntry], user: str, *, admin: bool) -> Sequence[SecretEntry]:
    """Returns one's own secrets, and for admins the shared ones; never those of another person."""
    return [
        entry
        for entry in entries
        if (entry.ref.owner == user if entry.ref.scope is SecretScope.USER else admin)
    ]


def register(app: AsyncApp, inbox: Inbox, secrets: SecretHandlers) -> None:
    """Attaches the buttons of the list, and the form's submission."""

    @app.action(ADD)
    @inbox.finishes
    async def on_add(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        user, channel = body["user"]["id"], body["view"]["private_metadata"]
        await secrets.open_form(body["trigger_id"], user, channel)

    @app.action(REMOVE)
    @inbox.finishes
    async def on_remove(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        view = body["view"]
        ref = ref_of_button(body["actions"][0]["value"], body["team"]["id"])
        await secrets.remove_secret(ref, body["user"]["id"], view["private_metadata"], view["id"])

    @app.view(FORM)
    @inbox.finishes
    async def on_form(ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        team, user, channel = body["team"]["id"], body["user"]["id"], view["private_metadata"]
        form, errors = read_secret_form(view, team, user)
        if form is not None:
            errors = await secrets.store_secret(form, user, channel)
        if errors:
            await ack(response_action="errors", errors=errors)
            return
        await ack()
        await secrets.refresh_list(view.get("previous_view_id") or "", user, team, channel)
