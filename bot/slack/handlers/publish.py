"""Pushes a branch or opens a pull request when a button asks, and tells the thread."""

import logging

import aiohttp
from slack_bolt.async_app import AsyncApp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.context import Dependencies
from bot.agents.publishing import Publishing
from bot.domain.agent import Agent
from bot.domain.policy import Action
from bot.domain.pull_request import Credits
from bot.slack.handlers.buttons import ButtonHandlers
from bot.slack.handlers.click import Click, register_click
from bot.slack.inbox import Inbox
from bot.slack.views import task_card
from bot.slack.views.evidence import evidence_markdown
from bot.slack.views.notices import pushed_text

logger = logging.getLogger(__name__)

_MOST_NAMED = 10


class PublishHandlers:
    """Publishes an agent's work for who may steer the agent."""

    def __init__(
        self,
        buttons: ButtonHandlers,
        publishing: Publishing,
        dependencies: Dependencies,
        client: AsyncWebClient,
        workspace_url: str,
    ) -> None:
        self._buttons = buttons
        self._publishing = publishing
        self._dependencies = dependencies
        self._client = client
        self._workspace_url = workspace_url

    async def push_branch(self, click: Click) -> None:
        """Puts the agent's branch at the git host."""
        await self._buttons.run_allowed(click, Action.STEER, lambda: self._push(click))

    async def open_pull_request(self, click: Click) -> None:
        """Opens a pull request, or pushes the newest commits to the one that there is."""
        await self._buttons.run_allowed(click, Action.STEER, lambda: self._open(click))

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
        async with self._dependencies.store.transaction() as tx:
            await tx.enqueue(agent.id, self._dependencies.presenter.notice(agent, key, text))

    async def _agent(self, click: Click) -> Agent:
        agent = await self._dependencies.store.agent(click.agent_id)
        if agent is None:
            raise LookupError(f"agent {click.agent_id} is not stored")
        return agent

    async def _name(self, user: str) -> str:
        """Returns a person's name in Slack; their id when Slack does not say."""
        try:
            account = (await self._client.users_info(user=user))["user"]
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.info("Slack does not say who %s is: %s", user, type(error).__name__)
            return user
        profile = account.get("profile") or {}
        name = profile.get("real_name") or account.get("real_name") or profile.get("display_name")
        return str(name or account.get("name") or user)

    def _thread_url(self, agent: Agent) -> str:
        if not agent.thread_ts:
            return ""
        return f"{self._workspace_url}archives/{agent.channel}/p{agent.thread_ts.replace('.', '')}"


def register(app: AsyncApp, inbox: Inbox, publish: PublishHandlers) -> None:
    """Attaches both buttons."""
    register_click(app, inbox, task_card.PUSH, publish.push_branch)
    register_click(app, inbox, task_card.PULL, publish.open_pull_request)
