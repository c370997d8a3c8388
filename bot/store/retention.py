"""Deletes rows that nothing needs any more, so that the database does not grow with the days."""

from dataclasses import astuple, dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, Table, delete, func, select, tuple_, update
from sqlalchemy.sql.dml import Delete

from bot.domain.usage import CostSource
from bot.store import tables
from bot.store.database import Engines
from bot.store.rows import ALIVE_STATUSES
from bot.store.usage import day_of

# Slack repeats an event for two hours at the most, and the catch-up looks back for 23.
_INPUT_SECONDS = 86_400.0
# A write transaction holds everybody up; a few thousand rows take some milliseconds.
_BATCH = 2_000
# Each group of a day's calls is three short statements.
_GROUPS = 100
_AUDIT_DAYS = 365.0
_DAY_SECONDS = 86_400
_SAME = ("agent_id", "team", "user", "channel", "model", "source", "paid_by")
_SUMMED = (
    *("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"),
    *("nano", "calls"),
)


@dataclass(frozen=True, slots=True)
class Pruned:
    """The numbers of deleted rows of each kind."""

    inputs: int
    claims: int
    events: int
    posts: int
    messages: int
    saved: int
    calls: int

    @property
    def total(self) -> int:
        """Their sum."""
        return sum(astuple(self))


class Retention:
    """Deletes in small transactions. Agents themselves stay: a few hundred bytes each."""

    def __init__(
        self, engines: Engines, keep_days: float = 30.0, keep_calls_days: float = 90.0
    ) -> None:
        self._engines = engines
        self.keep_days = keep_days
        self.keep_calls_days = keep_calls_days

    def set_days(self, days: float, calls_days: float) -> None:
        """Keeps the rows of ended agents, and those of single model calls, for so many days."""
        self.keep_days, self.keep_calls_days = days, calls_days

    async def prune(self, now: float) -> Pruned:
        """Deletes the rows that are not needed any more at `now` (seconds since the epoch).

        Finished inputs and claims go after a day, the record of who did what after a year; events,
        posts, messages and the saved state of an agent go `keep_days` after its end. Rows of a
        living agent stay, except that model calls of all agents are added up by day after
        `keep_calls_days`.
        Raises StoreUnavailable.
        """
        await self._delete(tables.audit, tables.audit.c.at < now - _AUDIT_DAYS * 86_400)
        day_ago, ended_before = now - _INPUT_SECONDS, now - self.keep_days * 86_400
        pruned = Pruned(
            inputs=await self._delete(tables.inbox, tables.inbox.c.done_at < day_ago),
            claims=await self._delete(tables.claim, tables.claim.c.claimed_at < day_ago),
            events=await self._delete_of_ended(tables.event, ended_before),
            posts=await self._delete_of_ended(tables.outbox, ended_before)
            + await self._delete_of_ended(tables.posted, ended_before),
            messages=await self._delete_of_ended(tables.message, ended_before),
            saved=await self._delete_of_ended(tables.saved, ended_before),
            # Last of all, since it is the one that computes with what the rows hold.
            calls=await _add_up(self._engines, now - self.keep_calls_days * _DAY_SECONDS),
        )
        await self._engines.checkpoint()
        return pruned

    async def _delete_of_ended(self, table: Table, before: float) -> int:
        agent = tables.agent.c
        ended = select(agent.id).where(
            agent.status.not_in(ALIVE_STATUSES),
            agent.status_since < before,
            agent.created_at < before,
        )
        return await self._delete(table, table.c.agent_id.in_(ended))

    async def _delete(self, table: Table, condition: ColumnElement[bool]) -> int:
        count = 0
        while True:
            async with self._engines.writing() as connection:
                deleted = (await connection.execute(_some(table, condition))).rowcount
            count += deleted
            if deleted < _BATCH:
                return count


def _some(table: Table, condition: ColumnElement[bool]) -> Delete:
    key = tuple_(*table.primary_key.columns)
    chosen = select(*table.primary_key.columns).where(condition).limit(_BATCH)
    return delete(table).where(key.in_(chosen))


async def _add_up(engines: Engines, before: float) -> int:
    """Adds up the calls of days that ended before then; returns how many rows went.

    An agent's calls of one day, with one model and one key, become one row: the budgets and the
    totals of agents, people, channels, models and days stay the same. The task, the provider and
    the time of a single call are lost. Calls under way are not touched. Raises StoreUnavailable.
    """
    last = before // _DAY_SECONDS * _DAY_SECONDS
    count = 0
    while True:
        async with engines.writing() as connection:
            groups = (await connection.execute(_groups_to_add_up(last, engines))).all()
            for group in groups:
                condition = _calls_of_group(group)
                values: dict[str, Any] = {name: _whole(group, name) for name in _SUMMED}
                values |= {"task_id": None, "provider": None, "generation_id": None}
                await connection.execute(
                    update(tables.usage).where(tables.usage.c.id == group.kept).values(values)
                )
                gone = delete(tables.usage).where(*condition, tables.usage.c.id != group.kept)
                count += (await connection.execute(gone)).rowcount
        if len(groups) < _GROUPS:
            return count


def _groups_to_add_up(last: float, engines: Engines) -> Any:  # noqa: ANN401  (SQLAlchemy's own type has seven parts)
    row = tables.usage.c
    day = day_of(row.at, engines.reader.dialect.name)
    same = [row[name] for name in _SAME]
    return (
        select(
            *same,
            func.min(row.id).label("kept"),
            func.min(row.at).label("at"),
            *(func.sum(row[name]).label(name) for name in _SUMMED),
        )
        .where(row.at < last, row.source != CostSource.RESERVED.value)
        .group_by(*same, day)
        .having(func.count() > 1)
        .limit(_GROUPS)
    )


def _whole(group: Row[Any], name: str) -> int | None:
    """Returns a sum as an integer; Postgres gives a decimal number."""
    value = getattr(group, name)
    return None if value is None else int(value)


def _calls_of_group(group: Row[Any]) -> list[ColumnElement[bool]]:
    row = tables.usage.c
    begin = group.at // _DAY_SECONDS * _DAY_SECONDS
    return [
        *(row[name] == getattr(group, name) for name in _SAME),
        row.at >= begin,
        row.at < begin + _DAY_SECONDS,
    ]
