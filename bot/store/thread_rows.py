"""The threads that are ours to read again after a time in which events may have been lost."""

from collections.abc import Sequence

from sqlalchemy import Double, case, cast, func, or_, select

from bot.domain.agent import (
    OwnThread,
)
from bot.store import tables
from bot.store.engine import Engines
from bot.store.rows import ALIVE_STATUSES, agent_of

# The keys of the posts that say that an agent was stopped begin so.
_STOPPED = "stopped:%"


class SqlThreadRows:
    """What the database knows of threads: which to read again, and who spoke in one."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def speakers(self, agent_id: str) -> Sequence[str]:
        """Who said something to an agent, in the order of their first message."""
        message = tables.message.c
        query = (
            select(message.user)
            .where(message.agent_id == agent_id)
            .group_by(message.user)
            .order_by(func.min(message.order))
        )
        async with self._engines.reading() as connection:
            return list((await connection.execute(query)).scalars())

    async def to_read(self, ended_after: float, limit: int) -> Sequence[OwnThread]:
        """Threads of living agents, then those that ended later than this; newest first each."""
        agent, post = tables.agent.c, tables.outbox.c
        stopped = (
            select(func.max(func.coalesce(cast(post.ts, Double), post.created_at)))
            .where(post.agent_id == agent.id, post.key.like(_STOPPED))
            .scalar_subquery()
        )
        living = case((agent.status.in_(ALIVE_STATUSES), 0), else_=1)
        query = (
            select(tables.agent, stopped.label("stopped_at"))
            .where(
                agent.thread_ts.is_not(None),
                or_(agent.status.in_(ALIVE_STATUSES), agent.status_since > ended_after),
            )
            .order_by(living, agent.created_at.desc(), agent.id)
            .limit(limit)
        )
        async with self._engines.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [
            OwnThread(found, row.stopped_at or 0.0)
            for row in rows
            if (found := agent_of(row)) is not None
        ]
