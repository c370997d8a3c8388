"""Writes together or not at all: the Transaction port on SQL."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, or_, select, text as sql, update

from bot.domain.agent import Agent
from bot.domain.budget import BudgetScope
from bot.domain.limits import Load
from bot.domain.message import Message
from bot.domain.policy import Audit
from bot.domain.posts import Post
from bot.domain.saved_state import SavedState
from bot.domain.usage import CostSource, ModelCall, Settled
from bot.redaction import Hide
from bot.store import outbox, tables
from bot.store.database import StoreConnection, insert_new
from bot.store.outbox import hidden_post
from bot.store.rows import (
    ALIVE_STATUSES,
    agent_of,
    agent_values,
    audit_values,
    later,
    message_of,
    message_values,
)
from bridge.protocol import AgentEvent

# Any numbers that no other lock of ours has.
_PLACES_LOCK = 7_201_530_812
_LEDGER_LOCK = 7_201_530_813
# Calls that a clock set forward has dated later count until that day comes, not for years.
_AHEAD_SECONDS = 2 * 86_400.0


class SqlTransaction:
    """One write transaction: the Transaction port. Posts pass through `hide` on their way in."""

    def __init__(self, connection: StoreConnection, hide: Hide = str) -> None:
        self._connection = connection
        self._hide = hide
        self.enqueued = False
        # True when an agent may have left its place, or the queue for one.
        self.left_place = False
        self.saved: list[Agent] = []

    async def add_agent(self, agent: Agent) -> None:
        """Stores a new agent."""
        await self._connection.execute(insert(tables.agent).values(agent_values(agent)))
        self.saved.append(agent)

    async def save_agent(self, agent: Agent) -> None:
        """Stores the agent's new state; raises LookupError when it was never added.

        The stored thread is not cleared: the sender may have noted it after the caller read the
        agent.
        """
        values = agent_values(agent)
        values["thread_ts"] = func.coalesce(agent.thread_ts, tables.agent.c.thread_ts)
        values["read_ts"] = later(tables.agent.c.read_ts, agent.read_ts)
        result = await self._connection.execute(
            update(tables.agent).where(tables.agent.c.id == agent.id).values(values)
        )
        if result.rowcount != 1:
            raise LookupError(f"agent {agent.id} is not stored")
        self.left_place |= not agent.placed and not agent.waiting
        self.saved.append(agent)

    async def agent(self, agent_id: str) -> Agent | None:
        """Returns the agent as stored; it cannot change before the transaction ends."""
        query = select(tables.agent).where(tables.agent.c.id == agent_id).with_for_update()
        return agent_of((await self._connection.execute(query)).one_or_none())

    async def add_events(self, agent_id: str, events: Sequence[AgentEvent]) -> None:
        """Stores the numbered events; one whose seq is stored already is left as it is."""
        for event in events:
            if event.seq > 0:
                await insert_new(
                    self._connection,
                    tables.event,
                    {
                        "agent_id": agent_id,
                        "seq": event.seq,
                        "task_id": event.task_id,
                        "body": event.model_dump_json(),
                        "kind": event.type,
                    },
                )

    async def claim_message(
        self, team: str, channel: str, ts: str, client_msg_id: str | None = None
    ) -> bool:
        """Claims a person's message; False when it is claimed already (a twin, a retry)."""
        return await insert_new(
            self._connection,
            tables.claim,
            {
                "team": team,
                "channel": channel,
                "ts": ts,
                "client_msg_id": client_msg_id or None,
                "claimed_at": time.time(),
            },
        )

    async def note_read(self, agent_id: str, ts: str) -> None:
        """Notes that the thread is read up to this message; an earlier one changes nothing."""
        await self._connection.execute(
            update(tables.agent)
            .where(tables.agent.c.id == agent_id)
            .values(read_ts=later(tables.agent.c.read_ts, ts))
        )

    async def add_message(self, message: Message) -> None:
        """Stores a message that the bridge does not have yet; `order` is set here.

        A message that is stored already is left as it is.
        """
        row = tables.message.c
        newest = select(func.max(row.order)).where(row.agent_id == message.agent_id)
        last = (await self._connection.execute(newest)).scalar_one()
        values = message_values(message) | {"order": (last or 0) + 1}
        await insert_new(self._connection, tables.message, values)

    async def message(self, agent_id: str, message_id: str) -> Message | None:
        """Returns a message as stored, delivered or not."""
        row = tables.message.c
        query = select(tables.message).where(row.agent_id == agent_id, row.id == message_id)
        stored = (await self._connection.execute(query)).one_or_none()
        return message_of(stored) if stored else None

    async def message_delivered(self, agent_id: str, message_id: str) -> None:
        """Notes that the bridge has the message, so that it is not delivered again."""
        row = tables.message.c
        await self._connection.execute(
            update(tables.message)
            .where(row.agent_id == agent_id, row.id == message_id, row.delivered_at.is_(None))
            .values(delivered_at=time.time())
        )

    async def hand_over_again(self, agent_id: str, since: float) -> None:
        """Lets messages that were delivered after `since` be delivered once more."""
        row = tables.message.c
        await self._connection.execute(
            update(tables.message)
            .where(row.agent_id == agent_id, row.delivered_at > since)
            .values(delivered_at=None)
        )

    async def revise_message(self, agent_id: str, message_id: str, text: str | None) -> bool:
        """Changes a message that is not delivered yet, or drops it (None); False: too late."""
        row = tables.message.c
        waiting = (row.agent_id == agent_id, row.id == message_id, row.delivered_at.is_(None))
        if text is None:
            result = await self._connection.execute(delete(tables.message).where(*waiting))
        else:
            result = await self._connection.execute(
                update(tables.message).where(*waiting).values(text=text)
            )
        return result.rowcount == 1

    async def save_state(self, agent_id: str, state: SavedState) -> None:
        """Keeps the newest state of the agent's container; it replaces the one before."""
        await self._connection.execute(
            delete(tables.saved).where(tables.saved.c.agent_id == agent_id)
        )
        values = {"agent_id": agent_id} | {f.name: getattr(state, f.name) for f in fields(state)}
        await self._connection.execute(insert(tables.saved).values(values))

    async def enqueue(self, agent_id: str, post: Post) -> None:
        """Stores what the thread should show; the sender is woken when this commits."""
        shown = hidden_post(post, self._hide)
        self.enqueued |= await outbox.enqueue(self._connection, agent_id, shown)

    async def placed(self) -> int:
        """Counts the agents that have a place; it cannot change before the transaction ends."""
        await self._lock(_PLACES_LOCK)
        row = tables.agent.c
        query = select(func.count()).where(row.placed, row.status.in_(ALIVE_STATUSES))
        return int((await self._connection.execute(query)).scalar_one())

    async def waiting(self) -> Sequence[Agent]:
        """Returns the agents that wait for a place, the first in the queue first."""
        row = tables.agent.c
        query = (
            select(tables.agent)
            .where(~row.placed, row.waiting_since > 0, row.status.in_(ALIVE_STATUSES))
            .order_by(row.waiting_since, row.created_at, row.id)
        )
        rows = (await self._connection.execute(query)).all()
        return [agent for stored in rows if (agent := agent_of(stored))]

    async def load(self, team: str, user: str, channel: str, since: float) -> Load:
        """Counts the busy agents of a person and a channel, and the person's starts since then."""
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
        """Records who did what."""
        await self._connection.execute(insert(tables.audit).values(audit_values(entry)))

    async def set_channel(self, team: str, channel: str, name: str, value: str) -> None:
        """Sets one setting of a channel; an empty value puts the default back."""
        row = tables.channel_setting.c
        ours = (row.team == team, row.channel == channel, row.name == name)
        await self._connection.execute(delete(tables.channel_setting).where(*ours))
        if value:
            values = {"team": team, "channel": channel, "name": name, "value": value}
            await self._connection.execute(insert(tables.channel_setting).values(values))

    async def used(
        self, call: ModelCall, since: float, scopes: Iterable[BudgetScope]
    ) -> Mapping[BudgetScope, int]:
        """Sums the spent and reserved nano-dollars: of an agent in all, of the others since then.

        It cannot change before the transaction ends.
        """
        await self._lock(_LEDGER_LOCK)
        row = tables.usage.c
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
        """Reserves the highest cost of a call that begins."""
        values = asdict(call) | {
            "source": CostSource.RESERVED.value,
            "paid_by": call.paid_by.value,
        }
        await self._connection.execute(insert(tables.usage).values(values))

    async def settle_call(self, call_id: str, settled: Settled) -> str | None:
        """Records how a call ended, once; returns its agent, None when it was recorded already."""
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
        """Sums the costs of the settled calls of an agent, in nano-dollars."""
        row = tables.usage.c
        settled = row.source != CostSource.RESERVED.value
        return await self._sum((row.agent_id == agent_id) & settled)

    async def _lock(self, key: int) -> None:
        """Takes a lock that goes with the transaction; SQLite's one writer needs none."""
        if self._connection.dialect.name == "postgresql":
            await self._connection.execute(sql("SELECT pg_advisory_xact_lock(:key)"), {"key": key})

    async def _sum(self, condition: ColumnElement[bool]) -> int:
        query = select(func.coalesce(func.sum(tables.usage.c.nano), 0)).where(condition)
        return int((await self._connection.execute(query)).scalar_one())
