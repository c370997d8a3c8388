"""What is written together or not at all: the Transaction port on SQL."""

import time
from collections.abc import Sequence
from dataclasses import fields

from sqlalchemy import delete, func, insert, select, update

from bot.domain.agent import Agent
from bot.domain.message import Message
from bot.domain.posts import Post
from bot.domain.saved_state import (
    SavedState,
)
from bot.redaction import Hide
from bot.store import outbox, tables
from bot.store.engine import StoreConnection, insert_new
from bot.store.outbox import hidden_post
from bot.store.rows import (
    agent_of,
    agent_values,
    later,
    message_of,
    message_values,
)
from bot.store.settings import RuleWrites
from bot.store.usage import UsageWrites
from bridge.protocol import AgentEvent


class SqlTransaction(UsageWrites, RuleWrites):
    """One write transaction: the Transaction port. Posts pass through `hide` on their way in."""

    def __init__(self, connection: StoreConnection, hide: Hide = str) -> None:
        super().__init__(connection)
        self._hide = hide
        self.enqueued = False
        # Somebody may have left a place, or the queue for one.
        self.left_place = False
        self.saved: list[Agent] = []

    async def add_agent(self, agent: Agent) -> None:
        """Store a new agent."""
        await self._connection.execute(insert(tables.agent).values(agent_values(agent)))
        self.saved.append(agent)

    async def save_agent(self, agent: Agent) -> None:
        """Store the agent's new state; raises LookupError when it was never added.

        A thread that is known stays known: it is the sender who learns it, maybe after the caller
        has read the agent.
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
        """The agent as stored; it cannot change before the transaction ends."""
        query = select(tables.agent).where(tables.agent.c.id == agent_id).with_for_update()
        return agent_of((await self._connection.execute(query)).one_or_none())

    async def add_events(self, agent_id: str, events: Sequence[AgentEvent]) -> None:
        """Store the numbered events; one whose seq is stored already is left as it is."""
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
        """Take a person's message for us; False when it is taken already (a twin, a retry)."""
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
        """The thread is read up to this message; it never goes back."""
        await self._connection.execute(
            update(tables.agent)
            .where(tables.agent.c.id == agent_id)
            .values(read_ts=later(tables.agent.c.read_ts, ts))
        )

    async def add_message(self, message: Message) -> None:
        """Store a message that is still to be handed to the bridge; `order` is set here.

        One that is stored already is left as it is.
        """
        row = tables.message.c
        newest = select(func.max(row.order)).where(row.agent_id == message.agent_id)
        last = (await self._connection.execute(newest)).scalar_one()
        values = message_values(message) | {"order": (last or 0) + 1}
        await insert_new(self._connection, tables.message, values)

    async def message(self, agent_id: str, message_id: str) -> Message | None:
        """Return a message as stored, handed over or not."""
        row = tables.message.c
        query = select(tables.message).where(row.agent_id == agent_id, row.id == message_id)
        stored = (await self._connection.execute(query)).one_or_none()
        return message_of(stored) if stored else None

    async def message_delivered(self, agent_id: str, message_id: str) -> None:
        """The bridge has it; it is not handed over again."""
        row = tables.message.c
        await self._connection.execute(
            update(tables.message)
            .where(row.agent_id == agent_id, row.id == message_id, row.delivered_at.is_(None))
            .values(delivered_at=time.time())
        )

    async def hand_over_again(self, agent_id: str, since: float) -> None:
        """Let messages that were handed over after `since` be handed over once more."""
        row = tables.message.c
        await self._connection.execute(
            update(tables.message)
            .where(row.agent_id == agent_id, row.delivered_at > since)
            .values(delivered_at=None)
        )

    async def revise_message(self, agent_id: str, message_id: str, text: str | None) -> bool:
        """Change a message that is not handed over yet, or drop it (None); False: too late."""
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
        """Keep the newest state of the agent's container; it replaces the one before."""
        await self._connection.execute(
            delete(tables.saved).where(tables.saved.c.agent_id == agent_id)
        )
        values = {"agent_id": agent_id} | {f.name: getattr(state, f.name) for f in fields(state)}
        await self._connection.execute(insert(tables.saved).values(values))

    async def enqueue(self, agent_id: str, post: Post) -> None:
        """Store what the thread should show; the sender is woken when this commits."""
        shown = hidden_post(post, self._hide)
        self.enqueued |= await outbox.enqueue(self._connection, agent_id, shown)
