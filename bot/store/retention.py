"""What the database forgets, so that it does not grow with the days."""

from dataclasses import astuple, dataclass

from sqlalchemy import ColumnElement, Table, delete, select, tuple_
from sqlalchemy.sql.dml import Delete

from bot.store import tables
from bot.store.engine import Engines
from bot.store.rows import ALIVE_STATUSES
from bot.store.usage_retention import DAY_SECONDS, add_up

# Slack repeats an event for two hours at the most, and the catch-up looks back for 23.
_INPUT_SECONDS = 86_400.0
# A write transaction holds everybody up; a few thousand rows take some milliseconds.
_BATCH = 2_000
_AUDIT_DAYS = 365.0


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many rows of each kind went."""

    inputs: int
    claims: int
    events: int
    posts: int
    messages: int
    saved: int
    calls: int

    @property
    def total(self) -> int:
        """All of them."""
        return sum(astuple(self))


class Retention:
    """Deletes in small transactions. Agents themselves stay: a few hundred bytes each."""

    def __init__(
        self, engines: Engines, keep_days: float = 30.0, keep_calls_days: float = 90.0
    ) -> None:
        self._engines = engines
        self.keep_days = keep_days
        self.keep_calls_days = keep_calls_days

    def keep(self, days: float, calls_days: float) -> None:
        """Keep what agents leave, and the rows of single model calls, for so many days."""
        self.keep_days, self.keep_calls_days = days, calls_days

    async def prune(self, now: float) -> Pruned:
        """Forget what is of no more use at this time (seconds since the epoch).

        Finished inputs and claims go a day later, the record of who did what a year later; events,
        posts, messages and the kept state of an agent go `keep_days` after its end. What belongs
        to a living agent is not touched, except that model calls of all agents are added up by day
        after `keep_calls_days`.
        Raises StoreUnavailable.
        """
        day_ago, ended_before = now - _INPUT_SECONDS, now - self.keep_days * 86_400
        pruned = Pruned(
            inputs=await self._delete(tables.inbox, tables.inbox.c.done_at < day_ago),
            claims=await self._delete(tables.claim, tables.claim.c.claimed_at < day_ago),
            events=await self._of_ended(tables.event, ended_before),
            posts=await self._of_ended(tables.outbox, ended_before)
            + await self._of_ended(tables.posted, ended_before),
            messages=await self._of_ended(tables.message, ended_before),
            saved=await self._of_ended(tables.saved, ended_before),
            calls=await add_up(self._engines, now - self.keep_calls_days * DAY_SECONDS),
        )
        await self._delete(tables.audit, tables.audit.c.at < now - _AUDIT_DAYS * 86_400)
        await self._engines.checkpoint()
        return pruned

    async def _of_ended(self, table: Table, before: float) -> int:
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
