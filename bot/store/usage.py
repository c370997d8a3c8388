"""The ledger of model calls on SQL: one row a call, written before it is made."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, case, func, insert, select, text, update

from bot.domain.budget import BudgetScope
from bot.domain.secrets import SecretScope
from bot.domain.usage import CostSource, LedgerLine, ModelCall, Settled, Sum
from bot.store import tables
from bot.store.engine import Engines, StoreConnection

# Any number that no other lock of ours has.
_LEDGER_LOCK = 7_201_530_813
_AHEAD_SECONDS = 2 * 86_400.0


class UsageWrites:
    """The part of a write transaction that the ledger needs: nobody else reserves meanwhile."""

    _connection: StoreConnection

    async def used(
        self, call: ModelCall, since: float, scopes: Iterable[BudgetScope]
    ) -> Mapping[BudgetScope, int]:
        """What is spent and reserved, in nano-dollars: of the agent in all, and of the others
        since then. It cannot change before the transaction ends."""
        if self._connection.dialect.name == "postgresql":
            # SQLite's one writer needs no lock of its own for this.
            lock = text("SELECT pg_advisory_xact_lock(:key)")
            await self._connection.execute(lock, {"key": _LEDGER_LOCK})
        row = tables.usage.c
        # Calls that a clock set forward has dated later count until that day comes, not for years.
        recent = (row.at >= since) & (row.at < since + _AHEAD_SECONDS)
        own = row.agent_id == call.agent_id
        user = recent & (row.team == call.team) & (row.user == call.user)
        channel = recent & (row.team == call.team) & (row.channel == call.channel)
        conditions = {
            BudgetScope.AGENT: own,
            BudgetScope.USER_DAY: user,
            BudgetScope.CHANNEL_DAY: channel,
            BudgetScope.DEPLOYMENT_DAY: recent,
        }
        return {scope: await self._sum(conditions[scope]) for scope in scopes}

    async def add_call(self, call: ModelCall) -> None:
        """Enter a call that begins, at its worst case."""
        values = asdict(call) | {
            "source": CostSource.RESERVED.value,
            "paid_by": call.paid_by.value,
        }
        await self._connection.execute(insert(tables.usage).values(values))

    async def settle_call(self, call_id: str, settled: Settled) -> str | None:
        """Enter how a call ended, once; the agent that made it, None when that is done already."""
        row = tables.usage.c
        usage = settled.usage
        values: dict[str, Any] = {
            "nano": settled.nano,
            "source": settled.source.value,
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cached_tokens": usage.cached_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "provider": usage.provider,
            "generation_id": usage.generation_id,
        }
        if usage.model:
            values["model"] = usage.model
        result = await self._connection.execute(
            update(tables.usage)
            .where(row.id == call_id, row.source == CostSource.RESERVED.value)
            .values(values)
            .returning(row.agent_id)
        )
        return result.scalar_one_or_none()

    async def spent(self, agent_id: str) -> int:
        """What the settled calls of an agent cost, in nano-dollars."""
        row = tables.usage.c
        settled = row.source != CostSource.RESERVED.value
        return await self._sum((row.agent_id == agent_id) & settled)

    async def _sum(self, condition: ColumnElement[bool]) -> int:
        query = select(func.coalesce(func.sum(tables.usage.c.nano), 0)).where(condition)
        return int((await self._connection.execute(query)).scalar_one())


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
