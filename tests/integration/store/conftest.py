"""A store on a real SQLite file, and agents to put into it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.domain.agent import Agent, RepoRef
from bot.store.agents import SqlStore

MakeAgent = Callable[..., Agent]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(f"sqlite+aiosqlite:///{tmp_path / 'bot.db'}", tmp_path)
    yield opened
    await opened.close()


@pytest.fixture
def make_agent() -> MakeAgent:
    def make(agent_id: str = "k3f9ab", **changes: object) -> Agent:
        agent = Agent(
            id=agent_id,
            team="T1",
            channel="C1",
            thread_ts=None,
            repo=RepoRef("acme", "api"),
            source_branch="main",
            target_branch=f"agent/{agent_id}",
            title="fix it",
            model="m",
            max_steps=15,
            started_by="U1",
            created_at=1000.5,
        )
        return replace(agent, **changes)  # type: ignore[arg-type]

    return make
