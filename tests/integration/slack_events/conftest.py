"""The bot's ears: the real app on a real socket of a playground, before a core with fakes."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from slack_bolt.async_app import AsyncApp

from bot.domain.agent import Agent, AgentStatus
from bot.slack.backfill import Backfill
from bot.slack.events import is_urgent
from bot.slack.socket_mode import SocketConnection
from playground.slack.slack_settings import SlackSettings
from playground.slack.slack_state import BOT_USER_ID
from playground.slack.slack_workspace import SlackWorkspace
from playground.slack.user_client import UserClient
from tests.harness.app import AppHarness
from tests.harness.clocks import ManualClock, VirtualClock
from tests.harness.slack import app_and_slack, slack_harness
from tests.harness.watched_inbox import WatchedInbox, settled

STOP = "octagonal_sign"
SETTINGS = SlackSettings(
    limits_enabled=False, ack_timeout_seconds=10.0, retry_delays_seconds=(0.0, 0.05)
)


@dataclass
class Line:
    """A workspace, the app at the other end of the line, and the core behind it."""

    harness: AppHarness
    slack: SlackWorkspace
    catch_up: Backfill
    connection: SocketConnection
    clock: ManualClock
    app: AsyncApp
    gaps: list[float] = field(default_factory=list)

    def person(self, name: str = "ana") -> UserClient:
        return UserClient(self.slack, self.slack.state.user(name))

    async def in_thread(self, text: str = "acme/api fix it", count: int = 1) -> tuple[Agent, str]:
        """A working agent that @ana started by a mention; and the root of its thread."""
        ts = await self.person().say(text, mention=True)

        async def look() -> Agent | None:
            found = await self.harness.store.agents(alive=False)
            mine = [agent for agent in found if agent.thread_ts == ts]
            return mine[0] if mine and len(found) == count else None

        agent = await self.harness.changes.found(look)
        working = await self.harness.reaches(agent.id, AgentStatus.WORKING)
        await self.settle()
        return working, ts

    async def settle(self) -> None:
        """Wait until every event is delivered and every listener has ended."""
        await settled(self.harness, self.slack)

    def lose(self, kind: str = "message", times: int = 1) -> None:
        self.slack.faults.event(kind, "lost", times)

    async def read(self) -> bool:
        """Catch up with the last hour."""
        return await self.catch_up.read_threads(time.time() - 3_600)

    async def texts(self, times: int) -> list[str]:
        """What the bridges were told, once it is so much."""
        await self.harness.asked("chat", times)
        return [body.text for body in self.harness.bridge.bodies("chat")]


@pytest.fixture
async def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    async with app_and_slack(tmp_path, SETTINGS) as (harness, slack, client):
        harness.clock.now = time.time()
        inbox = WatchedInbox(harness, lambda body: is_urgent(body, STOP))
        listening = slack_harness(harness, client, inbox)
        app = listening.app
        catch_up = Backfill(
            harness.store.to_read,
            listening.handlers.threads,
            listening.handlers.buttons,
            client,
            bot_user_id=BOT_USER_ID,
            stop_reaction=STOP,
            clock=VirtualClock(),
        )
        clock = ManualClock()
        gaps: list[float] = []
        connection = SocketConnection(app, SETTINGS.app_token, gaps.append, clock=clock)
        async with connection.running():
            await slack.socket_mode.connected()
            line = Line(harness, slack, catch_up, connection, clock, app, gaps)
            yield line
            await line.settle()
