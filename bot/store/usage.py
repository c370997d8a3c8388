"""Reads the ledger of model calls, in which each call has one row, or each day of old ones."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, case, func, select, update

from bot.domain.agent import SecretScope
from bot.domain.usage import CostSource, LedgerLine, Sum
from bot.store import tables
from bot.store.database import Engines


class SqlUsageRows:
    """The ledger to read; it also settles the calls that an earlier process left open."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def settle_open(self) -> int:
        """Settles the calls that a process left open at their highest cost: their end is unknown.

        Only to be used when no call is under way. Returns how many there were.
        """
        row = tables.usage.c
        async with self._engines.writing() as connection:
            result = await connection.execute(
                update(tables.usage)
                .where(row.source == CostSource.RESERVED.value)
                .values(source=CostSource.ESTIMATE.value)
            )
        return result.rowcount

    async def sums(
        self, team: str, *, since: float, user: str = "", channel: str = ""
    ) -> Sequence[Sum]:
        """Adds up the calls that began since then by day, user, channel and model; oldest first."""
        row = tables.usage.c
        day = day_of(row.at, self._engines.reader.dialect.name).label("day")
        guessed = row.source.in_((CostSource.RESERVED.value, CostSource.ESTIMATE.value))
        query = (
            select(
                day,
                row.user,
                row.channel,
                row.model,
                func.sum(row.calls).label("calls"),
                func.coalesce(func.sum(row.prompt_tokens), 0).label("prompt"),
                func.coalesce(func.sum(row.cached_tokens), 0).label("cached"),
                func.coalesce(func.sum(row.completion_tokens), 0).label("answer"),
                func.sum(row.nano).label("nano"),
                func.sum(case((guessed, row.nano), else_=0)).label("guessed"),
            )
            .where(*_conditions(team, since, user, channel))
            .group_by(day, row.user, row.channel, row.model)
            .order_by(day, row.user, row.channel, row.model)
        )
        async with self._engines.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [
            Sum(
                day=str(row.day),
                user=row.user,
                channel=row.channel,
                model=row.model,
                calls=int(row.calls),
                prompt_tokens=int(row.prompt),
                cached_tokens=int(row.cached),
                completion_tokens=int(row.answer),
                nano=int(row.nano),
                estimated_nano=int(row.guessed),
            )
            for row in rows
        ]

    async def lines(
        self, team: str, *, since: float, limit: int, user: str = "", channel: str = ""
    ) -> Sequence[LedgerLine]:
        """Returns the newest calls since then, at most `limit`, the oldest of those first."""
        row = tables.usage.c
        query = (
            select(tables.usage)
            .where(*_conditions(team, since, user, channel))
            .order_by(row.at.desc(), row.id)
            .limit(limit)
        )
        async with self._engines.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [
            LedgerLine(
                at=row.at,
                agent_id=row.agent_id,
                task_id=row.task_id or "",
                user=row.user,
                channel=row.channel,
                model=row.model,
                provider=row.provider or "",
                prompt_tokens=row.prompt_tokens,
                cached_tokens=row.cached_tokens,
                completion_tokens=row.completion_tokens,
                nano=row.nano,
                source=CostSource(row.source),
                paid_by=SecretScope(row.paid_by),
            )
            for row in reversed(rows)
        ]


def day_of(at: ColumnElement[float], dialect: str) -> ColumnElement[Any]:
    """Returns the day of a time in UTC, `2026-11-26`."""
    if dialect == "postgresql":
        return func.to_char(func.timezone("UTC", func.to_timestamp(at)), "YYYY-MM-DD")
    return func.date(at, "unixepoch")


def _conditions(team: str, since: float, user: str, channel: str) -> list[ColumnElement[bool]]:
    row = tables.usage.c
    conditions = [row.team == team, row.at >= since]
    if user:
        conditions.append(row.user == user)
    if channel:
        conditions.append(row.channel == channel)
    return conditions
