"""Takes a press of a button: once, stored together with everything that it causes."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bot.agents.context import Dependencies
from bot.agents.lifecycle.failures import require_alive
from bot.agents.ports.store import Transaction
from bot.domain.agent import Agent
from bot.domain.message import Message, MessageKind, message_id

# The text of the message that stands for a button by which a task continues.
GO_ON = "Go on where you stopped."


@dataclass(slots=True)
class Press:
    """One press within its transaction. `agent` is alive; the caller replaces it when it
    changes it. `wakes`: the agent is woken once the press is stored.
    """

    deps: Dependencies
    tx: Transaction
    agent: Agent
    wakes: bool = False

    async def claim(self, kind: MessageKind, name: str) -> str:
        """Takes the press; returns the id of its message, or "" when it was pressed before."""
        pressed_id = message_id(kind, name)
        claim = f"{self.agent.id}:{pressed_id}"
        self.wakes = await self.tx.claim_message(self.agent.team, self.agent.channel, claim)
        return pressed_id if self.wakes else ""

    async def store_message(self, pressed_id: str, user: str, text: str, task_id: str = "") -> None:
        """Stores the message that the press stands for; a task of its own without `task_id`."""
        kind, _, name = pressed_id.partition(":")
        await self.tx.add_message(
            Message(
                pressed_id,
                self.agent.id,
                user,
                text,
                task_id or f"{self.agent.id}-{name}",
                kind=MessageKind(kind),
            )
        )

    async def post_notice(self, key: str, text: str) -> None:
        """Tells the thread what was pressed."""
        await self.tx.enqueue(self.agent.id, self.deps.presenter.notice(self.agent, key, text))


@asynccontextmanager
async def press_button(
    deps: Dependencies, wake: Callable[[Agent], None], agent_id: str
) -> AsyncIterator[Press]:
    """Opens the transaction of a press, and wakes the agent once the press is stored.

    Raises UserError when the agent has ended.
    """
    async with deps.store.transaction() as tx:
        press = Press(deps, tx, require_alive(await tx.agent(agent_id)))
        yield press
    if press.wakes:
        wake(press.agent)


def short_name(text: str) -> str:
    """Returns a short name of plain characters, whatever text the button carries."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
