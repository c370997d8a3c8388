"""Keeps the Home tab of each person true: when they open it, and when their agents change."""

import asyncio
import json
import logging
from collections import OrderedDict

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.service import AgentService
from bot.domain.agent import Agent
from bot.domain.policy import Action
from bot.domain.settings_command import SetMine
from bot.errors import BotError, UserError
from bot.slack.ephemeral import LATE, TOO_LATE
from bot.slack.outbox.rate_limits import Clock, MonotonicClock
from bot.slack.views.home import closed_view, defaults_form, home_view
from bot.slack.views.text import below_field

logger = logging.getLogger(__name__)

# Slack takes a hundred views a minute for all people together.
BETWEEN_SECONDS = 10.0
MOST_AT_ONCE = 10
_MOST_KEPT = 500
_MOST_AGENTS = 60


class HomeHandlers:
    """`serve` lives as long as the bot. Only who has opened the tab is shown anything.

    A view that is the same as the last one is not sent again.
    """

    def __init__(
        self,
        service: AgentService,
        gate: Authorization,
        client: AsyncWebClient,
        *,
        workspace_url: str,
        clock: Clock | None = None,
    ) -> None:
        self._service = service
        self._gate = gate
        self._client = client
        self._workspace_url = workspace_url
        self._clock = clock or MonotonicClock()
        self._shown: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._changed: dict[tuple[str, str], None] = {}
        self._woken = asyncio.Event()

    async def opened(self, team: str, user: str) -> None:
        """A person looks at the tab."""
        self._shown.pop((team, user), None)
        await self._show(team, user)

    def changed(self, agent: Agent) -> None:
        """An agent is not what it was: whoever started it may see that on the tab."""
        person = (agent.team, agent.started_by)
        if person in self._shown:
            self._changed[person] = None
            self._woken.set()

    async def serve(self) -> None:
        """Show changes, a few people at a time and with a pause between, until cancelled."""
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
        """Show the form for a person's own defaults."""
        mine = await self._service.rulebook.mine(team, user)
        try:
            await self._client.views_open(trigger_id=trigger_id, view=defaults_form(mine))
        except SlackApiError as error:
            if error.response.get("error") not in LATE:
                raise
            await self._client.chat_postMessage(channel=user, text=TOO_LATE)

    async def set_defaults(self, typed: dict[str, str], team: str, user: str) -> dict[str, str]:
        """Store what was typed; gives what cannot be used, by field."""
        errors: dict[str, str] = {}
        await self._gate.require(Action.READ, user, team, user)
        for name, value in typed.items():
            try:
                await self._service.rulebook.set_mine(SetMine(name, value), user, team)
            except UserError as error:
                errors[name] = below_field(error)
        return errors

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
        else:
            self._keep(team, user, newest)

    async def _view(self, team: str, user: str) -> dict[str, object]:
        _, why_not = await self._gate.judge(Action.READ, user, team, user)
        if why_not:
            return closed_view(why_not)
        agents = await self._service.started_by(team, user, _MOST_AGENTS)
        mine = await self._service.rulebook.mine(team, user)
        model = self._service.rulebook.default_model
        return home_view(agents, mine, model, self._workspace_url)

    def _keep(self, team: str, user: str, view: str) -> None:
        self._shown[team, user] = view
        self._shown.move_to_end((team, user))
        while len(self._shown) > _MOST_KEPT:
            self._shown.popitem(last=False)
