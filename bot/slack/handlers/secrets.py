"""Receives what people do in the modals for secrets."""

import logging
from collections.abc import Sequence

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.access.secrets import Secrets
from bot.domain.policy import Action
from bot.domain.secrets import SecretEntry, SecretRef, SecretScope
from bot.errors import UserError
from bot.slack.views.secrets import VALUE, SecretForm, secret_form, secrets_list
from bot.slack.views.text import below_field

logger = logging.getLogger(__name__)


class SecretHandlers:
    """A person manages their own secrets; an admin those of channels, repositories, everyone."""

    def __init__(self, keyring: Secrets, gate: Authorization, client: AsyncWebClient) -> None:
        self._keyring = keyring
        self._gate = gate
        self._client = client

    async def open(self, trigger_id: str, user: str, team: str, channel: str) -> None:
        """Show what is stored; raises NotAllowed."""
        await self._gate.require(Action.SET_OWN_SECRET, user, team, channel)
        view = await self._list(user, team, channel)
        await self._client.views_open(trigger_id=trigger_id, view=view)

    async def add(self, trigger_id: str, user: str, channel: str) -> None:
        """Show the form for a new one."""
        view = secret_form(channel, admin=await self._gate.is_admin(user))
        await self._client.views_push(trigger_id=trigger_id, view=view)

    async def store(self, form: SecretForm, user: str, channel: str) -> dict[str, str]:
        """Store what was typed; gives what is wrong, by field: nothing is stored then."""
        try:
            await self._check(form.ref, user, channel)
        except UserError as error:
            return {"scope": below_field(error)}
        try:
            await self._keyring.put(form.ref, form.sealed, user, exposed=form.exposed)
        except UserError as error:
            logger.info("a secret was refused: %s", error)
            return {VALUE: below_field(error)}
        logger.info("a secret was stored: %s", form.ref)
        return {}

    async def remove(self, ref: SecretRef, user: str, channel: str, view_id: str) -> None:
        """Forget a secret, and show what is left; nothing happens when they may not."""
        try:
            await self._check(ref, user, channel)
            await self._keyring.remove(ref, user)
        except UserError as error:
            logger.info("a secret was not removed: %s", error)
        await self.refresh(view_id, user, ref.team, channel)

    async def refresh(self, view_id: str, user: str, team: str, channel: str) -> None:
        """Show the list anew, if it is still open."""
        try:
            view = await self._list(user, team, channel)
            await self._client.views_update(view_id=view_id, view=view)
        except SlackApiError as error:
            logger.info("the list of secrets is not shown anew: %s", error.response.get("error"))

    async def _check(self, ref: SecretRef, user: str, channel: str) -> None:
        own = ref.scope is SecretScope.USER and ref.owner == user
        action = Action.SET_OWN_SECRET if own else Action.ADMINISTER
        await self._gate.require(action, user, ref.team, channel)

    async def _list(self, user: str, team: str, channel: str) -> dict[str, object]:
        admin = await self._gate.is_admin(user)
        return secrets_list(_visible(self._keyring.entries(team), user, admin=admin), channel)


def _visible(entries: Sequence[SecretEntry], user: str, *, admin: bool) -> Sequence[SecretEntry]:
    """One's own, and for admins what others share; nobody sees what others have for themselves."""
    return [
        entry
        for entry in entries
        if (entry.ref.owner == user if entry.ref.scope is SecretScope.USER else admin)
    ]
