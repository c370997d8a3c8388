"""A gateway with accounts: a store, agents in it, and a door that asks them."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import select

from bot.agents.access.billing import Billing
from bot.config import Settings
from bot.domain.agent import Agent, AgentStatus, RepoRef
from bot.gateway.connections import ConnectionLimits
from bot.gateway.server import HostGateway
from bot.slack.views.presenter import SlackPresenter
from bot.store import tables
from bot.store.agents import SqlStore

API = RepoRef("acme", "api")
PRICED = {
    "id": "acme/priced",
    "pricing": {"prompt": "0.000003", "completion": "0.000015"},
    "context_length": 200_000,
    "top_provider": {"max_completion_tokens": 8_192},
}
MESSAGES = [{"role": "user", "content": "hello"}]
ASKED: dict[str, Any] = {"model": "acme/priced", "messages": MESSAGES, "stream": True}


@dataclass
class GatewayBench:
    """A gateway with accounts. `set` starts it anew with other settings."""

    settings: Settings
    folder: Path
    session: aiohttp.ClientSession
    store: SqlStore
    gateway: HostGateway | None = None
    connections: ConnectionLimits = field(default_factory=ConnectionLimits)

    async def set(self, **changes: object) -> HostGateway:
        if self.gateway:
            await self.gateway.stop()
        settings = self.settings.model_copy(update=changes)
        self.gateway = HostGateway(settings, self.folder, self.session, self.connections)
        self.gateway.read_agents_by(self.store.agent)
        self.gateway.account_with(Billing(self.store, SlackPresenter("x"), settings))
        await self.gateway.start("127.0.0.1")
        return self.gateway

    async def agent(self, agent_id: str = "k3f9ab", **changes: Any) -> Agent:
        made = Agent(
            id=agent_id,
            team="T1",
            channel="C1",
            thread_ts="1.1",
            repo=API,
            source_branch="main",
            target_branch=f"agent/{agent_id}",
            title="fix it",
            model="acme/priced",
            max_steps=15,
            started_by="UANA",
            created_at=1.0,
            status=AgentStatus.WORKING,
        )
        made = replace(made, **changes)
        async with self.store.transaction() as tx:
            await tx.add_agent(made)
        assert self.gateway
        await self.gateway.open(agent_id, API)
        return made

    async def spent_nano(self, agent_id: str = "k3f9ab") -> int:
        """Returns what the store says that an agent has spent."""
        agent = await self.store.agent(agent_id)
        assert agent
        return agent.spent_nano

    def bill_by(self, clock: Callable[[], float], **changes: object) -> None:
        """Accounts from now on by this clock, and with these settings."""
        assert self.gateway
        settings = self.settings.model_copy(update=changes)
        self.gateway.account_with(Billing(self.store, SlackPresenter("x"), settings, clock=clock))

    async def ask(
        self, agent_id: str = "k3f9ab", body: dict[str, Any] = ASKED
    ) -> tuple[int, bytes]:
        assert self.gateway
        access = self.gateway.access(agent_id, API)
        headers = {"Authorization": f"Bearer {access.token.get_secret_value()}"}
        url = f"{access.model_base_url}/chat/completions"
        async with self.session.post(url, json=body, headers=headers) as answer:
            return answer.status, await answer.read()

    async def rows(self) -> list[Any]:
        async with self.store._engines.reading() as connection:
            query = select(tables.usage).order_by(tables.usage.c.at, tables.usage.c.id)
            return list((await connection.execute(query)).all())
