"""The Continue button: as many steps again for a task that has used up its own."""

import hashlib

from bot.agents.context import Dependencies
from bot.agents.lifecycle.failures import why_not
from bot.agents.lifecycle.fleet import Fleet
from bot.domain.message import Message, MessageKind, message_id
from bot.errors import UserError

GO_ON = "Go on where you stopped."


class StepsControl:
    """Turns a press of the button into a message of the person, once for each task."""

    def __init__(self, deps: Dependencies, fleet: Fleet) -> None:
        self._deps = deps
        self._fleet = fleet

    async def go_on(self, agent_id: str, task_id: str, user: str) -> None:
        """Start a task that goes on from this one; pressing twice starts one.

        Raises UserError when the agent has ended.
        """
        # Short and of plain characters whatever stands in the button.
        name = hashlib.sha256(task_id.encode()).hexdigest()[:16]
        async with self._deps.store.transaction() as tx:
            agent = await tx.agent(agent_id)
            if agent is None or not agent.alive:
                raise UserError(why_not(agent) if agent else "There is no such agent any more.")
            pressed_id = message_id(MessageKind.PRESSED, name)
            if not await tx.claim_message(agent.team, agent.channel, f"{agent.id}:{pressed_id}"):
                return
            message = Message(
                pressed_id, agent.id, user, GO_ON, f"{agent.id}-{name}", kind=MessageKind.PRESSED
            )
            await tx.add_message(message)
            text = f"▶ <@{user}> lets it continue."
            await tx.enqueue(agent.id, self._deps.presenter.notice(agent, pressed_id, text))
        self._fleet.wake(agent)
