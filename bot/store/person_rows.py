"""The agents of one person, for their Home tab, on SQL."""

from collections.abc import Sequence

from sqlalchemy import case, select

from bot.domain.agent import Agent
from bot.store import tables
from bot.store.engine import Engines
from bot.store.rows import ALIVE_STATUSES, agent_of


class SqlPersonRows:
    """Reads only."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def agents(self, team: str, user: str, limit: int) -> Sequence[Agent]:
        """The agents that a person has started: those alive first, the newest first."""
        row = tables.agent.c
        living = case((row.status.in_(ALIVE_STATUSES), 0), else_=1)
        query = (
            select(tables.agent)
            .where(row.team == team, row.started_by == user)
            .order_by(living, row.created_at.desc(), row.id)
            .limit(limit)
        )
        async with self._engines.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [agent for found in rows if (agent := agent_of(found))]
