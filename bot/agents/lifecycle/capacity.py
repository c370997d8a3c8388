"""Decides which agents run and which wait, within the write transaction that stores it."""

import logging
from collections.abc import Sequence

from bot.agents.context import Dependencies
from bot.agents.ports.store import Transaction
from bot.domain.agent import Agent, AgentStatus
from bot.domain.limits import AgentLimits, has_room, ordinal
from bot.domain.task_card import TaskCard
from bot.domain.verbosity import Verbosity
from bot.errors import StoreUnavailable

logger = logging.getLogger(__name__)

# Keeps the order of those that come at the same moment.
_TURN_SECONDS = 0.000_1
# Each move is an edit of a message; further back the number that was shown first is kept.
_SHOWN_MOVES = 10


class Capacity:
    """Gives out the places among the agents that run, and keeps the queue for them.

    An agent that sleeps needs no place.
    """

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps
        self._limits = AgentLimits.of(deps.settings)

    async def claim_place(self, tx: Transaction, agent: Agent, task_id: str = "") -> Agent:
        """Gives the agent a place or puts it into the queue; its thread shows that it waits.

        `task_id` names the task that the person waits for, where there is one.
        """
        if agent.placed:
            return agent
        placed = await tx.placed()
        others = [other for other in await tx.waiting() if other.id != agent.id]
        if has_room(self._limits, placed) and not others:
            asked = agent.admitted()
        else:
            last = others[-1].waiting_since + _TURN_SECONDS if others else 0.0
            asked = agent.queued(max(self._deps.clock(), last))
        if asked != agent:
            await tx.save_agent(asked)
        if asked.waiting:
            before = [other for other in others if other.waiting_since < asked.waiting_since]
            await self._show(tx, asked, len(before) + 1, task_id)
        return asked

    async def admit_waiting(self) -> Sequence[Agent]:
        """Gives free places to those who wait longest, and shows the others their new position."""
        admitted: list[Agent] = []
        async with self._deps.store.transaction() as tx:
            placed = await tx.placed()
            waiting = await tx.waiting()
            for agent in waiting:
                if not has_room(self._limits, placed + len(admitted)):
                    break
                admitted.append(agent.admitted())
                await tx.save_agent(admitted[-1])
                if _shows_no_card(agent):
                    await self._post_notice(tx, agent, "▶ *It has a place now.*")
            still = waiting[len(admitted) :][:_SHOWN_MOVES]
            for position, agent in enumerate(still, 1):
                await self._show_move(tx, agent, position)
        return admitted

    async def _show_move(self, tx: Transaction, agent: Agent, position: int) -> None:
        try:
            await self._show(tx, agent, position, await self._next_task(agent))
        except StoreUnavailable:
            raise
        except Exception:  # boundary: of one agent, among all that wait
            logger.exception("the place of %s in the queue cannot be shown", agent.id)

    async def clear_notice(self, tx: Transaction, agent: Agent) -> None:
        """Takes the waiting out of the thread, within the transaction that ends the agent."""
        if not agent.waiting:
            return
        if _shows_no_card(agent):
            await self._post_notice(tx, agent, "⏹ *It waits no longer.*")
        elif task_id := await self._next_task(agent):
            card = self._card(agent, task_id, 0).cut_short(self._deps.clock())
            await tx.enqueue(agent.id, self._deps.presenter.card(agent, card))

    async def _show(self, tx: Transaction, agent: Agent, position: int, task_id: str) -> None:
        if _shows_no_card(agent):
            text = f"⏳ *Waiting for a free place*: {ordinal(position)} in the queue."
            await self._post_notice(tx, agent, text)
        elif task_id:
            card = self._card(agent, task_id, position)
            await tx.enqueue(agent.id, self._deps.presenter.card(agent, card))

    async def _post_notice(self, tx: Transaction, agent: Agent, text: str) -> None:
        post = self._deps.presenter.notice(agent, f"place:{agent.last_seq}", text)
        await tx.enqueue(agent.id, post)

    async def _next_task(self, agent: Agent) -> str:
        waiting = await self._deps.store.undelivered(agent.id)
        return next((message.task_id for message in waiting if message.begins_task), "")

    def _card(self, agent: Agent, task_id: str, position: int) -> TaskCard:
        since = agent.waiting_since
        number = agent.task_number + 1
        return TaskCard(task_id, number, started_at=since, now=since, queued=position)


def _shows_no_card(agent: Agent) -> bool:
    """Checks whether a message of its own shows the waiting, since no card does."""
    return _is_restarting(agent) or agent.verbosity is Verbosity.QUIET


def _is_restarting(agent: Agent) -> bool:
    """Checks whether a person restarts it: there may be no task whose card could show it."""
    return agent.status is AgentStatus.STARTING and agent.base_commit is not None
