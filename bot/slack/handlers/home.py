"""Shows the Home tab: when a person opens it, and when their agents change."""

import asyncio
import json
import logging
from collections import OrderedDict
from typing import Any

import aiohttp
from slack_bolt.async_app import AsyncAck, AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.service import AgentService
from bot.domain.agent import Agent
from bot.domain.policy import Action
from bot.domain.settings_command import SetMine
from bot.errors import BotError, UserError
from bot.slack.ephemeral import LATE, TOO_LATE
from bot.slack.handlers.buttons import ButtonHandlers
from bot.slack.inbox import Inbox
from bot.slack.outbox.rate_limits import Clock, MonotonicClock
from bot.slack.views.home import (
    DEFAULTS,
    OPEN_DEFAULTS,
    STOP_HERE,
    closed_view,
    defaults_form,
    home_view,
    read_defaults,
)
from bot.slack.views.text import below_field

logger = logging.getLogger(__name__)

# Slack takes a hundred views a minute for all people together.
BETWEEN_SECONDS = 10.0
MOST_AT_ONCE = 10
_MOST_KEPT = 500
_MOST_AGENTS = 60


class HomeHandlers:
    """Updates the tabs of those who have opened theirs; `serve` lives as long as the bot.

    A view that is the same as the last one is not sent again.
    """

    def __init__(
        self,
        service: AgentService,
        authorization: Authorization,
        client: AsyncWebClient,
        buttons: ButtonHandlers,
        *,
        workspace_url: str,
        clock: Clock | None = None,
    ) -> None:
        self._service = service
        self._authorization = authorization
        self._buttons = buttons
        self._client = client
        self._workspace_url = workspace_url
        self._clock = clock or MonotonicClock()
        self._shown: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._changed: dict[tuple[str, str], None] = {}
        self._woken = asyncio.Event()

    async def show_tab(self, team: str, user: str) -> None:
        """Shows the tab to a person who looks at it."""
        self._shown.pop((team, user), None)
        await self._show(team, user)

    def note_change(self, agent: Agent) -> None:
        """Notes that an agent was stored, so that who started it sees the change."""
        person = (agent.team, agent.started_by)
        if person in self._shown:
            self._changed[person] = None
            self._woken.set()

    async def serve(self) -> None:
        """Shows changes, a few people at a time and with a pause between, until cancelled."""
        never = asyncio.Event()
        while True:
            await self._woken.wait()
            for person in list(self._changed)[:MOST_AT_ONCE]:
                del self._changed[person]
                await self._show(*person)
            if not self._changed:
                self._woken.clear()
            await self._clock.wait(never, BETWEEN_SECONDS)

    async def open_defaults(self, trigger_id: str, team: str, user: str) -> None:
        """Shows the form for a person's own defaults."""
        mine = await self._service.channel_settings.mine(team, user)
        try:
            await self._client.views_open(trigger_id=trigger_id, view=defaults_form(mine))
        except SlackApiError as error:
            if error.response.get("error") not in LATE:
                raise
            await self._client.chat_postMessage(channel=user, text=TOO_LATE)

    async def set_defaults(self, typed: dict[str, str], team: str, user: str) -> dict[str, str]:
        """Stores what was typed; returns the errors by field."""
        errors: dict[str, str] = {}
        await self._authorization.require(Action.READ, user, team, user)
        for name, value in typed.items():
            try:
                await self._service.channel_settings.set_mine(SetMine(name, value), user, team)
            except UserError as error:
                errors[name] = below_field(error)
        return errors

    async def stop_agent(self, agent_id: str, user: str) -> None:
        """Stops an agent by the button of the tab."""
        await self._buttons.stop_from_home(agent_id, user)

    async def _show(self, team: str, user: str) -> None:
        try:
            view = await self._view(team, user)
            newest = json.dumps(view)
            if self._shown.get((team, user)) == newest:
                return
            await self._client.views_publish(user_id=user, view=view)
        except SlackApiError as error:
            logger.warning("the home of %s is not shown: %s", user, error.response.get("error"))
        except (BotError, aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.warning("the home of %s is not shown: %s", user, type(error).__name__)
        except Exception:  # boundary: of one person, in the loop of all
            logger.exception("the home of %s cannot be shown", user)
        else:
            self._remember_view(team, user, newest)

    async def _view(self, team: str, user: str) -> dict[str, object]:
        _, why_not = await self._authorization.judge(Action.READ, user, team, user)
        if why_not:
            return closed_view(why_not)
        agents = await self._service.store.agents_of(team, user, _MOST_AGENTS)
        mine = await self._service.channel_settings.mine(team, user)
        model = self._service.channel_settings.default_model
        return home_view(agents, mine, model, self._workspace_url)

    def _remember_view(self, team: str, user: str, view: str) -> None:
        self._shown[team, user] = view
        self._shown.move_to_end((team, user))
        while len(self._shown) > _MOST_KEPT:
            self._shown.popitem(last=False)


def register(app: AsyncApp, inbox: Inbox, home: HomeHandlers) -> None:
    """Attaches the tab's event, its buttons and the form for one's defaults."""

    @app.event("app_home_opened")
    @inbox.finishes
    async def on_opened(body: dict[str, Any], event: dict[str, Any]) -> None:
        if event.get("tab") == "home":
            await home.show_tab(body["team_id"], event["user"])

    @app.action(STOP_HERE)
    @inbox.finishes
    async def on_stop(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        agent_id = str(body["actions"][0]["value"]).partition(":")[0]
        team, user = body["team"]["id"], body["user"]["id"]
        await home.stop_agent(agent_id, user)
        await home.show_tab(team, user)

    @app.action(OPEN_DEFAULTS)
    @inbox.finishes
    async def on_change(ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        await home.open_defaults(body["trigger_id"], body["team"]["id"], body["user"]["id"])

    @app.view(DEFAULTS)
    @inbox.finishes
    async def on_defaults(ack: AsyncAck, body: dict[str, Any], view: dict[str, Any]) -> None:
        team, user = body["team"]["id"], body["user"]["id"]
        typed, errors = read_defaults(view)
        if not errors:
            try:
                errors = await home.set_defaults(typed, team, user)
            except UserError as error:
                errors = {"repo": below_field(error)}
        if errors:
            await ack(response_action="errors", errors=errors)
            return
        await ack()
        await home.show_tab(team, user)
