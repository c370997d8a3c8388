"""Receives the wish to push a branch or to open a pull request, and tells the thread of it."""

import logging

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.context import Dependencies
from bot.agents.publishing import Publishing
from bot.domain.agent import Agent
from bot.domain.policy import Action
from bot.domain.pull_request import Credits
from bot.slack.handlers.buttons import ButtonHandlers, Click
from bot.slack.views.evidence import evidence_markdown
from bot.slack.views.published import pushed_text

logger = logging.getLogger(__name__)

_MOST_NAMED = 10


class PublishHandlers:
    """Who may steer an agent may publish its work."""

    def __init__(
        self,
        buttons: ButtonHandlers,
        publishing: Publishing,
        world: Dependencies,
        client: AsyncWebClient,
        workspace_url: str,
    ) -> None:
        self._buttons = buttons
        self._publishing = publishing
        self._world = world
        self._client = client
        self._workspace_url = workspace_url

    async def push(self, click: Click) -> None:
        """Put the agent's branch at the git host."""
        await self._buttons.pressed(click, Action.STEER, lambda: self._push(click))

    async def open(self, click: Click) -> None:
        """Open a pull request, or give the one that there is the newest commits."""
        await self._buttons.pressed(click, Action.STEER, lambda: self._open(click))

    async def _push(self, click: Click) -> None:
        agent = await self._agent(click)
        published = await self._publishing.push(agent)
        await self._say(
            agent, f"push:{click.trigger_id}", pushed_text(agent, published, click.user)
        )

    async def _open(self, click: Click) -> None:
        agent = await self._agent(click)
        speakers = await self._publishing.speakers(agent.id)
        others = [
            user for user in dict.fromkeys([*speakers, click.user]) if user != agent.started_by
        ]
        credits_ = Credits(
            await self._name(agent.started_by),
            [await self._name(user) for user in others[:_MOST_NAMED]],
            self._thread_url(agent),
            evidence_markdown(await self._publishing.evidence(agent)),
        )
        published = await self._publishing.open(agent, credits_)
        await self._say(
            agent, f"pull:{click.trigger_id}", pushed_text(agent, published, click.user)
        )

    async def _say(self, agent: Agent, key: str, text: str) -> None:
        async with self._world.store.transaction() as tx:
            await tx.enqueue(agent.id, self._world.voice.notice(agent, key, text))

    async def _agent(self, click: Click) -> Agent:
        agent = await self._world.store.agent(click.agent_id)
        if agent is None:
            raise LookupError(f"agent {click.agent_id} is not stored")
        return agent

    async def _name(self, user: str) -> str:
        """How Slack calls somebody; their id when it does not say."""
        try:
            found = (await self._client.users_info(user=user))["user"]
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.info("Slack does not say who %s is: %s", user, type(error).__name__)
            return user
        profile = found.get("profile") or {}
        name = profile.get("real_name") or found.get("real_name") or profile.get("display_name")
        return str(name or found.get("name") or user)

    def _thread_url(self, agent: Agent) -> str:
        if not agent.thread_ts:
            return ""
        return f"{self._workspace_url}archives/{agent.channel}/p{agent.thread_ts.replace('.', '')}"
