"""Places, starts, channel settings and the record of who did what, on SQL."""

from collections.abc import Sequence

from sqlalchemy import delete, func, insert, or_, select, text

from bot.domain.agent import Agent
from bot.domain.limits import Load
from bot.domain.policy import (
    Audit,
)
from bot.store import tables
from bot.store.engine import Engines, StoreConnection
from bot.store.rows import ALIVE_STATUSES, agent_of

# Any number that no other lock of ours has.
_PLACES_LOCK = 7_201_530_812


class RuleWrites:
    """The part of a write transaction that rules rest on: nobody else decides meanwhile."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    async def placed(self) -> int:
        """How many agents have a place; it cannot change before the transaction ends."""
        if self._connection.dialect.name == "postgresql":
            # SQLite's one writer needs no lock of its own for this.
            lock = text("SELECT pg_advisory_xact_lock(:key)")
            await self._connection.execute(lock, {"key": _PLACES_LOCK})
        row = tables.agent.c
        query = select(func.count()).where(row.placed, row.status.in_(ALIVE_STATUSES))
        return int((await self._connection.execute(query)).scalar_one())

    async def waiting(self) -> Sequence[Agent]:
        """The agents that wait for a place, the first in the queue first."""
        row = tables.agent.c
        query = (
            select(tables.agent)
            .where(~row.placed, row.waiting_since > 0, row.status.in_(ALIVE_STATUSES))
            .order_by(row.waiting_since, row.created_at, row.id)
        )
        rows = (await self._connection.execute(query)).all()
        return [agent for found in rows if (agent := agent_of(found))]

    async def load(self, team: str, user: str, channel: str, since: float) -> Load:
        """What one person and one channel have at work, and the person's starts since then."""
        row = tables.agent.c
        busy = (
            row.team == team,
            row.status.in_(ALIVE_STATUSES),
            or_(row.placed, row.waiting_since > 0),
        )
        counts = select(func.count()).where(*busy)
        starts = (
            select(row.created_at)
            .where(row.team == team, row.started_by == user, row.created_at > since)
            .order_by(row.created_at)
        )
        run = self._connection.execute
        return Load(
            user=(await run(counts.where(row.started_by == user))).scalar_one(),
            channel=(await run(counts.where(row.channel == channel))).scalar_one(),
            starts=tuple((await run(starts)).scalars()),
        )

    async def add_audit(self, entry: Audit) -> None:
        """Record who did what."""
        await self._connection.execute(insert(tables.audit).values(**_values(entry)))

    async def set_channel(self, team: str, channel: str, name: str, value: str) -> None:
        """Set one setting of a channel; an empty value puts the default back."""
        row = tables.channel_setting.c
        ours = (row.team == team, row.channel == channel, row.name == name)
        await self._connection.execute(delete(tables.channel_setting).where(*ours))
        if value:
            values = {"team": team, "channel": channel, "name": name, "value": value}
            await self._connection.execute(insert(tables.channel_setting).values(values))


class SqlRuleRows:
    """What has been set and recorded, to read."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def channel(self, team: str, channel: str) -> dict[str, str]:
        """The settings of a channel that are not at their default."""
        row = tables.channel_setting.c
        query = select(row.name, row.value).where(row.team == team, row.channel == channel)
        async with self._engines.reading() as connection:
            return {found.name: found.value for found in await connection.execute(query)}

    async def audit(self, limit: int = 100) -> Sequence[Audit]:
        """The newest entries of the record, the newest first."""
        row = tables.audit.c
        query = select(row.at, row.actor, row.action, row.subject, row.outcome)
        async with self._engines.reading() as connection:
            found = await connection.execute(query.order_by(row.id.desc()).limit(limit))
            return [Audit(**entry) for entry in found.mappings()]


def _values(entry: Audit) -> dict[str, object]:
    return {
        "at": entry.at,
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject[:300],
        "outcome": entry.outcome[:300],
    }
