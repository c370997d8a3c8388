"""Checks of the sender of posts."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from bot.agents.ports.store import Outbox
from bot.domain.agent import Agent
from bot.domain.posts import Post, PostKind, Priority
from bot.errors import ChannelUnavailable
from bot.store.agents import SqlStore


@dataclass
class OutboxBench:
    """A sender that runs, its store with `agent` in it, and a way to close the channel."""

    outbox: Outbox
    store: SqlStore
    agent: Agent
    close_channel: Callable[[], None]

    async def enqueue(self) -> None:
        """Store a root message."""
        post = Post(
            "root", PostKind.MESSAGE, self.agent.channel, None, Priority.NOTICE, {"text": "root"}
        )
        async with self.store.transaction() as tx:
            await tx.enqueue(self.agent.id, post)


class OutboxContract:
    """Fixture: `outbox_bench`."""

    async def test_a_post_has_a_ts_once_it_is_sent(self, outbox_bench: OutboxBench) -> None:
        await outbox_bench.enqueue()
        agent_id = outbox_bench.agent.id
        ts = await outbox_bench.outbox.sent(agent_id, "root", 5)
        assert ts == await outbox_bench.outbox.sent(agent_id, "root", 5)
        stored = await outbox_bench.store.agent(agent_id)
        assert stored
        assert stored.thread_ts == ts

    async def test_what_was_never_stored_is_never_sent(self, outbox_bench: OutboxBench) -> None:
        with pytest.raises(TimeoutError):
            await outbox_bench.outbox.sent(outbox_bench.agent.id, "root", 0.05)

    async def test_a_channel_that_is_closed_to_us_is_said_in_words(
        self, outbox_bench: OutboxBench
    ) -> None:
        outbox_bench.close_channel()
        await outbox_bench.enqueue()
        with pytest.raises(ChannelUnavailable) as caught:
            await outbox_bench.outbox.sent(outbox_bench.agent.id, "root", 5)
        assert caught.value.user_text
