"""The buttons of a used budget: so many dollars more, and the agent goes on."""

import hashlib

from bot.agents.context import Dependencies
from bot.agents.lifecycle.failures import why_not
from bot.agents.lifecycle.fleet import Fleet
from bot.domain.budget import MAX_BUDGET_NANO, NANO, dollars, nano_of
from bot.domain.message import Message, MessageKind, message_id
from bot.errors import UserError

GO_ON = "Go on where you stopped."


class BudgetControl:
    """Turns a press of a button into a larger budget and a message of the person, once each."""

    def __init__(self, deps: Dependencies, fleet: Fleet) -> None:
        self._deps = deps
        self._fleet = fleet

    async def add(self, agent_id: str, task_id: str, usd: int, user: str) -> None:
        """Add to the budget of an agent and let it go on; pressing twice adds once.

        Raises UserError when the agent has ended or has no budget.
        """
        # Short and of plain characters whatever stands in the button.
        name = hashlib.sha256(f"{task_id}+{usd}".encode()).hexdigest()[:16]
        async with self._deps.store.transaction() as tx:
            agent = await tx.agent(agent_id)
            if agent is None or not agent.alive:
                raise UserError(why_not(agent) if agent else "There is no such agent any more.")
            house = nano_of(self._deps.settings.budget_agent_usd)
            budget = house if agent.budget_nano is None else agent.budget_nano
            if not budget:
                raise UserError("This agent has no budget of its own.")
            if budget >= MAX_BUDGET_NANO:
                raise UserError(f"A budget may be {dollars(MAX_BUDGET_NANO)} at the most.")
            pressed_id = message_id(MessageKind.PRESSED, name)
            if not await tx.claim_message(agent.team, agent.channel, f"{agent.id}:{pressed_id}"):
                return
            agent = agent.with_budget(min(budget + usd * NANO, MAX_BUDGET_NANO))
            await tx.save_agent(agent)
            message = Message(
                pressed_id, agent.id, user, GO_ON, f"{agent.id}-{name}", kind=MessageKind.PRESSED
            )
            await tx.add_message(message)
            now = dollars(agent.budget_nano or 0)
            text = f"▶ <@{user}> adds ${usd}. The budget is {now} now."
            await tx.enqueue(agent.id, self._deps.presenter.notice(agent, pressed_id, text))
        self._fleet.wake(agent)
