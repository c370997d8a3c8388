"""A store, a sender on virtual time, and posts to send."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.posts import Post, PostKind, Priority
from bot.slack.outbox.sender import OutboxSender
from bot.store.agents import SqlStore
from tests.harness.clocks import VirtualClock

ROOT = Post("root", PostKind.MESSAGE, "C1", None, Priority.NOTICE, {"text": "root"})
CARD = Post("card", PostKind.MESSAGE, "C1", None, Priority.PROGRESS, {"text": "card"})
ANSWER = Post("answer", PostKind.MESSAGE, "C1", None, Priority.ANSWER, {"text": "answer"})
MARK = Post(
    "mark",
    PostKind.REACTION,
    "C1",
    None,
    Priority.REACTION,
    {"ts": "7.7", "name": "eyes", "present": True},
)
FILE = Post(
    "patch",
    PostKind.FILE,
    "C1",
    None,
    Priority.NOTICE,
    {
        "name": "a.patch",
        "title": "A",
        "content_base64": base64.b64encode(b"\x00+x").decode(),
        "comment": "c",
    },
)


def card(text: str) -> Post:
    return replace(CARD, payload={"text": text})


@dataclass
class SlackBench:
    """A store, a sender on virtual time, and what it reported as dead."""

    store: SqlStore
    client: AsyncWebClient
    clock: VirtualClock = field(default_factory=VirtualClock)
    dead: list[tuple[str, str, str]] = field(default_factory=list)

    def outbox(self) -> OutboxSender:
        async def on_dead(agent_id: str, key: str, code: str) -> None:
            self.dead.append((agent_id, key, code))

        outbox = OutboxSender(
            self.store.outbox_rows,
            self.client,
            bot_name="threadsmith",
            on_dead=on_dead,
            clock=self.clock,
            call_timeout_seconds=5,
        )
        self.store.on_enqueued = outbox.wake
        self.clock.idle = lambda: not outbox._in_flight
        return outbox

    @asynccontextmanager
    async def sender(self) -> AsyncIterator[OutboxSender]:
        outbox = self.outbox()
        task = asyncio.create_task(outbox.run())
        try:
            yield outbox
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def enqueue(self, *posts: Post, agent_id: str = "a1") -> None:
        async with self.store.transaction() as tx:
            for post in posts:
                await tx.enqueue(agent_id, post)

    async def deliver(self) -> None:
        async with self.sender() as outbox:
            assert await outbox.drain(20)
