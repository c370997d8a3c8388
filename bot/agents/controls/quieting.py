"""A reply that changes how much the thread of an agent shows, from then on."""

from dataclasses import replace

from bot.agents.context import Dependencies
from bot.domain.agent import ThreadRef
from bot.domain.policy import (
    Audit,
)
from bot.domain.verbosity import reply_verbosity

_SAID = {
    "quiet": "Quiet from now on: the answers alone. A card that is shown ends with its task.",
    "normal": "From now on: a live card for each task, and its answer.",
    "verbose": "From now on: a live card, and a message for each step.",
}


class VerbosityControl:
    """Reads `verbosity: quiet|normal|verbose`, alone in a reply."""

    def __init__(self, deps: Dependencies) -> None:
        self._deps = deps

    async def take(
        self, thread: ThreadRef, user: str, ts: str, text: str, client_msg_id: str | None
    ) -> bool:
        """Whether the reply was such a wish; the same reply twice has one effect."""
        wanted = reply_verbosity(text)
        agent = await self._deps.store.agent_of_thread(thread) if wanted else None
        if wanted is None or agent is None:
            return False
        async with self._deps.store.transaction() as tx:
            current = await tx.agent(agent.id)
            if current is None or not await tx.claim_message(
                agent.team, agent.channel, ts, client_msg_id
            ):
                return True
            await tx.note_read(agent.id, ts)
            await tx.save_agent(replace(current, verbosity=wanted))
            entry = Audit(self._deps.clock(), user, "agent.verbosity", agent.id, wanted.value)
            await tx.add_audit(entry)
            said = self._deps.presenter.notice(current, f"verbosity:{ts}", _SAID[wanted.value])
            await tx.enqueue(agent.id, said)
        return True
