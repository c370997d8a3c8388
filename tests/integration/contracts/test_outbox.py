"""The real sender, on a real client and a small Slack, keeps the contract of its port."""

from collections.abc import AsyncIterator

import pytest

from bot.store.agents import SqlStore
from tests.contracts.store import OutboxBench, OutboxContract
from tests.integration.slack.bench import SlackBench
from tests.integration.slack.conftest import client, slack, store
from tests.integration.slack.fake_slack import FakeSlack, agent, refuses

__all__ = ["client", "slack", "store"]


class TestOutbox(OutboxContract):
    @pytest.fixture
    async def outbox_bench(
        self, store: SqlStore, client: object, slack: FakeSlack
    ) -> AsyncIterator[OutboxBench]:
        bench = SlackBench(store, client)  # type: ignore[arg-type]
        async with store.transaction() as tx:
            await tx.add_agent(agent())

        def close_channel() -> None:
            slack.before["chat.postMessage"] = [refuses("not_in_channel")]

        async with bench.sender() as outbox:
            yield OutboxBench(outbox, store, agent(), close_channel)
