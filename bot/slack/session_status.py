"""Sets Slack's own session status of an agent, with its Stop button, where a workspace has it."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.agent import Agent, AgentStatus
from bot.domain.quoting import line
from bot.errors import BotError
from bot.slack.outbox.block_fallback import error_code
from bot.slack.outbox.rate_limits import Clock, MonotonicClock

logger = logging.getLogger(__name__)

# Slack takes fifty a minute for all agents together.
BETWEEN_SECONDS = 1.5
_MOST_KEPT = 2_000
_TITLE_CHARS = 150
_STATUS = {
    AgentStatus.STARTING: "processing",
    AgentStatus.WORKING: "processing",
    AgentStatus.IDLE: "active",
    AgentStatus.SLEEPING: "active",
    AgentStatus.STOPPED: "closed",
    AgentStatus.FAILED: "closed",
    AgentStatus.LOST: "closed",
}
# The app or the workspace has no sessions, and will have none before somebody changes it.
_NEVER = frozenset({
    "feature_not_enabled", "invalid_arguments", "method_deprecated", "missing_scope",
    "not_allowed_token_type", "not_authorized", "unknown_method",
})  # fmt: skip


class SessionStatusUpdater:
    """Sets the session status of agents. A failure does no harm: the card shows the status too.

    `waits` tells whether an agent's task waits for a person.
    """

    def __init__(
        self,
        client: AsyncWebClient,
        waits: Callable[[Agent], Awaitable[bool]],
        *,
        enabled: bool,
        clock: Clock | None = None,
    ) -> None:
        self._client = client
        self._waits = waits
        self.enabled = enabled
        self._clock = clock or MonotonicClock()
        self._shown: OrderedDict[str, str] = OrderedDict()
        self._changed: OrderedDict[str, Agent] = OrderedDict()
        self._woken = asyncio.Event()

    def note_change(self, agent: Agent) -> None:
        """Notes that an agent was stored: its session may have another status now."""
        if self.enabled and agent.thread_ts and self._shown.get(agent.id) != _STATUS[agent.status]:
            self._changed[agent.id] = agent
            self._woken.set()
        else:
            self._changed.pop(agent.id, None)

    async def serve(self) -> None:
        """Tells Slack of changes, the newest of each agent, until cancelled."""
        never = asyncio.Event()
        while self.enabled:
            self._woken.clear()
            while self._changed and self.enabled:
                _, agent = self._changed.popitem(last=False)
                await self._tell(agent)
                await self._clock.wait(never, BETWEEN_SECONDS)
            if self.enabled:
                await self._woken.wait()
        self._changed.clear()

    async def _tell(self, agent: Agent) -> None:
        status = _STATUS[agent.status]
        try:
            waits = agent.status is AgentStatus.IDLE and await self._waits(agent)
            await self._client.agents_sessions_setStatus(
                channel_id=agent.channel,
                thread_ts=agent.thread_ts,
                status="suspended" if waits else status,
                title=line(agent.title, _TITLE_CHARS) or agent.id,
                initiator_user_id=agent.started_by,
            )
        except SlackApiError as error:
            code = error_code(error)
            logger.warning("Slack shows no status of its own: %s", code)
            if code in _NEVER:
                self.enabled = False
        except (BotError, aiohttp.ClientError, TimeoutError, OSError) as error:
            logger.info("Slack was not told of a status: %s", type(error).__name__)
        except Exception:  # boundary: of one agent, in the loop of all
            logger.exception("Slack cannot be told of the status of %s", agent.id)
        else:
            self._remember_status(agent.id, status)

    def _remember_status(self, agent_id: str, status: str) -> None:
        self._shown[agent_id] = status
        self._shown.move_to_end(agent_id)
        while len(self._shown) > _MOST_KEPT:
            self._shown.popitem(last=False)
