"""The ledger of model calls on SQL: one row a call, written before it is made."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, case, func, select, update

from bot.domain.agent import (
    SecretScope,
)
from bot.domain.usage import CostSource, LedgerLine, Sum
from bot.store import tables
from bot.store.engine import Engines


class SqlUsageRows:
    """What the ledger holds, for reading; and the calls that an earlier process left open."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    async def settle_open(self) -> int:
        """Enter calls that a process left open, at their worst case: how they ended is unknown.

        Only when no call is under way. Returns how many there were.
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
        """Calls that began since then, added up by day, user, channel and model; oldest first."""
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
            .where(*_wanted(team, since, user, channel))
            .group_by(day, row.user, row.channel, row.model)
            .order_by(day, row.user, row.channel, row.model)
        )
        async with self._engines.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [
            Sum(
                day=str(found.day),
                user=found.user,
                channel=found.channel,
                model=found.model,
                calls=int(found.calls),
                prompt_tokens=int(found.prompt),
                cached_tokens=int(found.cached),
                completion_tokens=int(found.answer),
                nano=int(found.nano),
                estimated_nano=int(found.guessed),
            )
            for found in rows
        ]

    async def lines(
        self, team: str, *, since: float, limit: int, user: str = "", channel: str = ""
    ) -> Sequence[LedgerLine]:
        """The newest of them, one by one, the oldest of those first; at most `limit`."""
        row = tables.usage.c
        query = (
            select(tables.usage)
            .where(*_wanted(team, since, user, channel))
            .order_by(row.at.desc(), row.id)
            .limit(limit)
        )
        async with self._engines.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [
            LedgerLine(
                at=found.at,
                agent_id=found.agent_id,
                task_id=found.task_id or "",
                user=found.user,
                channel=found.channel,
                model=found.model,
                provider=found.provider or "",
                prompt_tokens=found.prompt_tokens,
                cached_tokens=found.cached_tokens,
                completion_tokens=found.completion_tokens,
                nano=found.nano,
                source=CostSource(found.source),
                paid_by=SecretScope(found.paid_by),
            )
            for found in reversed(rows)
        ]


def day_of(at: ColumnElement[float], dialect: str) -> ColumnElement[Any]:
    """UTC's day of a moment, `2026-11-26`."""
    if dialect == "postgresql":
        return func.to_char(func.timezone("UTC", func.to_timestamp(at)), "YYYY-MM-DD")
    return func.date(at, "unixepoch")


def _wanted(team: str, since: float, user: str, channel: str) -> list[ColumnElement[bool]]:
    row = tables.usage.c
    wanted = [row.team == team, row.at >= since]
    if user:
        wanted.append(row.user == user)
    if channel:
        wanted.append(row.channel == channel)
    return wanted
