"""Tells elsewhere what a thread could not show: a file in words, an answer directly."""

import logging

import aiohttp
from cachetools import LRUCache
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.ports.people import Presenter
from bot.agents.ports.store import Store
from bot.domain.agent import Agent
from bot.domain.quoting import code as quoted
from bot.errors import BotError

logger = logging.getLogger(__name__)

MOST_TOLD = 2_000
_WAITED_FOR = frozenset({"answer", "question", "stopped", "trouble"})
_NO_FILE = (
    "Slack took no file ({code}). *Show diff* shows the changes, *Push branch* puts them at the "
    "git host; ask an admin of the workspace to allow uploads, then press *Patch*."
)
_NO_THREAD = (
    "The thread of agent {agent} in <#{channel}> takes no messages of mine ({code}). Its work is "
    "kept. When the thread is open again, reply there."
)


class Undeliverable:
    """Tells each agent's starter once that its thread takes no posts."""

    def __init__(self, store: Store, presenter: Presenter, client: AsyncWebClient) -> None:
        self._store = store
        self._presenter = presenter
        self._client = client
        self._told_agents: LRUCache[str, bool] = LRUCache(MOST_TOLD)

    async def note_refusal(self, agent_id: str, key: str, code: str) -> None:
        """Tells that Slack refused a post for good, for this reason."""
        logger.error("%s of agent %s will never be shown: %s", key, agent_id, code)
        agent = await self._store.agent(agent_id)
        kind = key.partition(":")[0]
        if agent is None:
            return
        if kind == "patch":
            await self._in_words(agent, key, code)
        elif kind in _WAITED_FOR and agent.id not in self._told_agents:
            self._told_agents[agent.id] = True
            await self._directly(agent, code)

    async def _in_words(self, agent: Agent, key: str, code: str) -> None:
        post = self._presenter.trouble(agent, f"file:{key}", _NO_FILE.format(code=quoted(code)))
        try:
            async with self._store.transaction() as tx:
                await tx.enqueue(agent.id, post)
        except BotError as error:
            logger.warning("nobody is told of a missing file: %s", error)

    async def _directly(self, agent: Agent, code: str) -> None:
        text = _NO_THREAD.format(agent=quoted(agent.id), channel=agent.channel, code=quoted(code))
        try:
            await self._client.chat_postMessage(channel=agent.started_by, text=text)
        except (SlackApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.warning("nobody is told of a closed thread: %s", type(error).__name__)
