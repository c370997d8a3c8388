"""Stores agents, their events and their messages: the Store port on SQL."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import ValidationError
from sqlalchemy import ColumnElement, Double, Row, Select, case, cast, func, or_, select

from bot.domain.agent import Agent, Leftover, OwnThread, ThreadRef
from bot.domain.message import Message
from bot.domain.saved_state import SavedState
from bot.redaction import Hide
from bot.store import tables
from bot.store.database import Engines, create_private_folder, parse_url
from bot.store.inbox import SqlInboxRows
from bot.store.migrate import upgrade
from bot.store.outbox import SqlOutboxRows
from bot.store.retention import Retention
from bot.store.rows import (
    ALIVE_STATUSES,
    agent_of,
    message_of,
)
from bot.store.secrets import SqlSecretRows
from bot.store.transaction import SqlTransaction
from bot.store.usage import SqlUsageRows
from bridge.protocol import AgentEvent, Event, kind_of, parse_event

_log = logging.getLogger(__name__)

E = TypeVar("E", bound=Event)

_LIVING_FIRST = case((tables.agent.c.status.in_(ALIVE_STATUSES), 0), else_=1)
# The keys of the posts that say that an agent was stopped begin so.
_STOPPED = "stopped:%"


class SqlStore:
    """The database: the Store port, and the rows of the inbox and the outbox.

    `on_enqueued` is called after a commit that stored a post for the sender, `on_left` after one
    in which an agent may have left its place or the queue, `on_saved` for each agent that it
    stored. All, and `hide`, may be set after the store was opened, since the parts that they
    belong to need the store first.
    """

    def __init__(self, engines: Engines, on_enqueued: Callable[[], None] | None = None) -> None:
        self._engines = engines
        self.on_enqueued = on_enqueued
        self.on_left: Callable[[], None] | None = None
        self.on_saved: Callable[[Agent], None] | None = None
        self.hide: Hide = str
        self._unreadable: dict[str, set[int]] = {}
        self.secret_rows = SqlSecretRows(engines)
        self.outbox_rows = SqlOutboxRows(engines)
        self.inbox_rows = SqlInboxRows(engines)
        self.usage_rows = SqlUsageRows(engines)
        self.retention = Retention(engines)

    @classmethod
    async def open(
        cls, database: str, data_dir: Path, on_enqueued: Callable[[], None] | None = None
    ) -> Self:
        """Opens the database at this address and upgrades its tables.

        Raises ConfigurationError when it cannot be used, or was written by a newer version.
        """
        await asyncio.to_thread(create_private_folder, data_dir)
        url = parse_url(database)
        await upgrade(url)
        return cls(Engines.of(url), on_enqueued)

    async def close(self) -> None:
        """Closes the connections; a second call does nothing."""
        await self._engines.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        """Opens a write transaction; commits at the end, rolls back on an exception.

        Other writers wait meanwhile, so nothing slow belongs inside. A second transaction of the
        same task would wait for itself.
        """
        async with self._engines.writing() as connection:
            transaction = SqlTransaction(connection, self.hide)
            yield transaction
        if transaction.enqueued and self.on_enqueued is not None:
            self.on_enqueued()
        if transaction.left_place and self.on_left is not None:
            self.on_left()
        if self.on_saved is not None:
            for agent in transaction.saved:
                self.on_saved(agent)

    async def agent(self, agent_id: str) -> Agent | None:
        """Returns an agent by its id."""
        return await self._first_agent(tables.agent.c.id == agent_id)

    async def agent_of_thread(self, thread: ThreadRef) -> Agent | None:
        """Returns the living agent of this thread, or else the newest."""
        return await self._first_agent(
            tables.agent.c.team == thread.team,
            tables.agent.c.channel == thread.channel,
            tables.agent.c.thread_ts == thread.thread_ts,
        )

    async def agent_of_message(self, team: str, channel: str, ts: str) -> Agent | None:
        """Returns the agent whose thread a message of the bot, or the thread's root, belongs to."""
        posted = select(tables.posted.c.agent_id).where(
            tables.posted.c.channel == channel, tables.posted.c.ts == ts
        )
        return await self._first_agent(
            tables.agent.c.team == team,
            tables.agent.c.channel == channel,
            or_(tables.agent.c.thread_ts == ts, tables.agent.c.id.in_(posted)),
        )

    async def agents(self, *, alive: bool = True, channel: str | None = None) -> Sequence[Agent]:
        """Returns agents, newest first; the ended ones too when `alive` is False."""
        query = select(tables.agent).order_by(tables.agent.c.created_at.desc(), tables.agent.c.id)
        if alive:
            query = query.where(tables.agent.c.status.in_(ALIVE_STATUSES))
        if channel is not None:
            query = query.where(tables.agent.c.channel == channel)
        return [agent for stored in await self._rows(query) if (agent := agent_of(stored))]

    async def unread(self) -> Sequence[Agent]:
        """Returns the agents that ended with an unread patch or conversation in their files."""
        row = tables.agent.c
        unread = (Leftover.PATCH.value, Leftover.CONVERSATION.value)
        query = (
            select(tables.agent)
            .where(row.leftover.in_(unread), row.status.not_in(ALIVE_STATUSES))
            .order_by(row.status_since, row.id)
        )
        return [agent for stored in await self._rows(query) if (agent := agent_of(stored))]

    async def agents_of(self, team: str, user: str, limit: int) -> Sequence[Agent]:
        """Returns the agents that a person has started: those alive first, the newest first."""
        row = tables.agent.c
        query = (
            select(tables.agent)
            .where(row.team == team, row.started_by == user)
            .order_by(_LIVING_FIRST, row.created_at.desc(), row.id)
            .limit(limit)
        )
        return [agent for stored in await self._rows(query) if (agent := agent_of(stored))]

    async def channel_settings(self, team: str, channel: str) -> Mapping[str, str]:
        """Returns the settings of a channel; a name that is missing has its default."""
        row = tables.channel_setting.c
        query = select(row.name, row.value).where(row.team == team, row.channel == channel)
        return {setting.name: setting.value for setting in await self._rows(query)}

    async def is_claimed(self, team: str, channel: str, ts: str) -> bool:
        """Checks whether a person's message was claimed already."""
        row = tables.claim.c
        query = select(row.ts).where(row.team == team, row.channel == channel, row.ts == ts)
        return bool(await self._rows(query))

    async def undelivered(self, agent_id: str) -> Sequence[Message]:
        """Returns the messages that the bridge does not have yet, in order of arrival."""
        row = tables.message.c
        query = (
            select(tables.message)
            .where(row.agent_id == agent_id, row.delivered_at.is_(None))
            .order_by(row.order)
        )
        return [message_of(row) for row in await self._rows(query)]

    async def saved_state(self, agent_id: str) -> SavedState | None:
        """Returns the saved state of the agent's container."""
        query = select(tables.saved).where(tables.saved.c.agent_id == agent_id)
        rows = await self._rows(query)
        if not rows:
            return None
        return SavedState(rows[0].conversation, rows[0].patch, rows[0].last_seq, rows[0].at)

    async def events(
        self,
        agent_id: str,
        task_id: str | None = None,
        *,
        kinds: Sequence[type[Event]] | None = None,
        newest: int | None = None,
    ) -> Sequence[AgentEvent]:
        """Returns stored events in order: of one task, of these kinds, the `newest` few, or all.

        One that cannot be read is left out and counted.
        """
        row = tables.event.c
        query = select(row.seq, row.body).where(row.agent_id == agent_id)
        if task_id is not None:
            query = query.where(row.task_id == task_id)
        if kinds is not None:
            query = query.where(row.kind.in_([kind_of(kind) for kind in kinds]))
        query = query.order_by(row.seq.desc()).limit(newest)
        events: list[AgentEvent] = []  # the newest first
        page = query
        while True:
            rows = await self._rows(page)
            events += self._readable_events(agent_id, rows)
            if newest is None or len(rows) < newest or len(events) >= newest:
                return events[:newest][::-1]
            page = query.where(row.seq < rows[-1].seq)

    def unreadable_events(self, agent_id: str) -> int:
        """Counts the stored events of an agent that were met and could not be read."""
        return len(self._unreadable.get(agent_id, ()))

    def _readable_events(self, agent_id: str, rows: Sequence[Row[Any]]) -> list[AgentEvent]:
        """Returns the events that can be read; a version with other bounds stored the others."""
        events: list[AgentEvent] = []
        new: dict[int, ValidationError] = {}
        known = self._unreadable.get(agent_id, set())
        for row in rows:
            try:
                events.append(parse_event(row.body))
            except ValidationError as error:
                if row.seq not in known:
                    new[row.seq] = error
        if new:
            self._unreadable[agent_id] = known | set(new)
            seq, reason = next(iter(new.items()))
            first = reason.errors(include_input=False, include_url=False)[0]
            _log.warning(
                "%d more events of %s cannot be read and are left out, such as %d: %s at %s",
                *(len(new), agent_id, seq, first["type"], first["loc"]),
            )
        return events

    async def newest_event(
        self, agent_id: str, kind: type[E], task_id: str | None = None
    ) -> E | None:
        """Returns the last stored event of this kind, in one task or in all."""
        events = await self.events(agent_id, task_id, kinds=(kind,), newest=1)
        return next((event for event in events if isinstance(event, kind)), None)

    async def speakers(self, agent_id: str) -> Sequence[str]:
        """Returns who wrote to an agent, in the order of their first message."""
        message = tables.message.c
        query = (
            select(message.user)
            .where(message.agent_id == agent_id)
            .group_by(message.user)
            .order_by(func.min(message.order))
        )
        return [row.user for row in await self._rows(query)]

    async def to_read(self, ended_after: float, limit: int) -> Sequence[OwnThread]:
        """Returns the threads to read again after a time in which events may have been lost.

        Those of living agents come first, then those that ended later than `ended_after`; the
        newest first each.
        """
        agent, post = tables.agent.c, tables.outbox.c
        stopped = (
            select(func.max(func.coalesce(cast(post.ts, Double), post.created_at)))
            .where(post.agent_id == agent.id, post.key.like(_STOPPED))
            .scalar_subquery()
        )
        query = (
            select(tables.agent, stopped.label("stopped_at"))
            .where(
                agent.thread_ts.is_not(None),
                or_(agent.status.in_(ALIVE_STATUSES), agent.status_since > ended_after),
            )
            .order_by(_LIVING_FIRST, agent.created_at.desc(), agent.id)
            .limit(limit)
        )
        return [
            OwnThread(stored, row.stopped_at or 0.0)
            for row in await self._rows(query)
            if (stored := agent_of(row))
        ]

    async def _first_agent(self, *conditions: ColumnElement[bool]) -> Agent | None:
        query = (
            select(tables.agent)
            .where(*conditions)
            .order_by(_LIVING_FIRST, tables.agent.c.created_at.desc())
            .limit(1)
        )
        rows = await self._rows(query)
        return agent_of(rows[0]) if rows else None

    async def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        async with self._engines.reading() as connection:
            result = await connection.execute(query)
            return list(result.all())
