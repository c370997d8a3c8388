"""Reads the record of who did what, which the product writes and people read by SQL."""

from collections.abc import Sequence

from sqlalchemy import select

from bot.domain.policy import Audit
from bot.store import tables
from bot.store.agents import SqlStore


async def read_audit(store: SqlStore) -> Sequence[Audit]:
    """Return every entry of the record, the newest first."""
    row = tables.audit.c
    query = select(row.at, row.actor, row.action, row.subject, row.outcome)
    async with store._engines.reading() as connection:
        entries = await connection.execute(query.order_by(row.id.desc()))
        return [Audit(**entry) for entry in entries.mappings()]
