"""Old model calls become one row for each day: fewer rows, the same sums."""

from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, select, update

from bot.domain.usage import CostSource
from bot.store import tables
from bot.store.engine import Engines
from bot.store.usage import day_of

DAY_SECONDS = 86_400
# A write transaction holds everybody up; each group of a day is three short statements.
_BATCH = 100
_SAME = ("agent_id", "team", "user", "channel", "model", "source", "paid_by")
_SUMMED = (
    *("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"),
    *("nano", "calls"),
)


async def add_up(engines: Engines, before: float) -> int:
    """Add up the calls of days that ended before then; how many rows went. Raises StoreUnavailable.

    What remains of an agent's calls of one day, with one model and one key, is one row: budgets,
    totals of agents, people, channels, models and days stay what they were. Which task made a call,
    who served it and when in the day it was are forgotten. Calls under way are not touched.
    """
    last = before // DAY_SECONDS * DAY_SECONDS
    count = 0
    while True:
        async with engines.writing() as connection:
            groups = (await connection.execute(_many(last, engines))).all()
            for group in groups:
                condition = _of(group)
                values: dict[str, Any] = {name: _whole(group, name) for name in _SUMMED}
                values |= {"task_id": None, "provider": None, "generation_id": None}
                await connection.execute(
                    update(tables.usage).where(tables.usage.c.id == group.kept).values(values)
                )
                gone = delete(tables.usage).where(*condition, tables.usage.c.id != group.kept)
                count += (await connection.execute(gone)).rowcount
        if len(groups) < _BATCH:
            return count


def _many(last: float, engines: Engines) -> Any:  # noqa: ANN401  (SQLAlchemy's own type has seven parts)
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
        .limit(_BATCH)
    )


def _whole(group: Row[Any], name: str) -> int | None:
    """A sum, which Postgres gives as a decimal number."""
    value = getattr(group, name)
    return None if value is None else int(value)


def _of(group: Row[Any]) -> list[ColumnElement[bool]]:
    row = tables.usage.c
    begin = group.at // DAY_SECONDS * DAY_SECONDS
    return [
        *(row[name] == getattr(group, name) for name in _SAME),
        row.at >= begin,
        row.at < begin + DAY_SECONDS,
    ]
