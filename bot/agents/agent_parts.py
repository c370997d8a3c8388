"""Keeps the agents apart in a loop that serves all of them: a failure of one costs no other."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cachetools import LRUCache

from bot.agents.ports.people import Presenter
from bot.agents.ports.store import Store
from bot.errors import BotError, StoreUnavailable

logger = logging.getLogger(__name__)

MOST_FAILURES = 3
PARKED_SECONDS = 3_600.0
_MOST_AGENTS = 1_000


@dataclass(frozen=True, slots=True)
class _Fault:
    """Counts the failures of one agent's part in a row, and sets when it is tried again."""

    failures: int = 0
    again_at: float = 0.0


class AgentParts:
    """Runs each agent's part of one loop.

    An agent whose part fails in an unexpected way a few times in a row is parked: its thread is
    told once, and the loop passes over it for an hour. `purpose` ends the sentence "Threadsmith
    cannot …". With `never_parked` each agent is tried each time: the part of a guard.
    """

    def __init__(
        self,
        store: Store,
        presenter: Presenter,
        clock: Callable[[], float],
        purpose: str,
        *,
        never_parked: bool = False,
    ) -> None:
        self._store = store
        self._presenter = presenter
        self._clock = clock
        self._purpose = purpose
        self._never_parked = never_parked
        self._faults: LRUCache[str, _Fault] = LRUCache(_MOST_AGENTS)

    async def run(self, agent_id: str, part: Callable[[], Awaitable[None]]) -> bool:
        """Runs the part of this agent; returns False when it failed, or when it is parked.

        Raises StoreUnavailable alone, since that is no trouble of one agent.
        """
        fault = self._faults.get(agent_id, _Fault())
        if self._clock() < fault.again_at:
            return False
        try:
            await part()
        except StoreUnavailable:
            raise
        except BotError as error:
            logger.warning("cannot %s, of %s: %s", self._purpose, agent_id, error)
            return False
        except Exception as error:  # noqa: BLE001  (boundary: the loop goes on with the others)
            await self._note_failure(agent_id, fault.failures + 1, error)
            return False
        self._faults.pop(agent_id, None)
        return True

    async def _note_failure(self, agent_id: str, failures: int, error: Exception) -> None:
        parks = failures >= MOST_FAILURES and not self._never_parked
        again_at = self._clock() + PARKED_SECONDS if parks else 0.0
        self._faults[agent_id] = _Fault(failures, again_at)
        # The traceback of the tenth failure tells no more than that of the third.
        logger.error(
            "cannot %s, of %s (%d in a row)%s: %s",
            *(self._purpose, agent_id, failures, "; it is passed over" if parks else ""),
            type(error).__name__,
            exc_info=error if failures <= MOST_FAILURES else None,
        )
        if failures == MOST_FAILURES:
            await self._tell_thread(agent_id)

    async def _tell_thread(self, agent_id: str) -> None:
        """Tells the thread once in the life of an agent: the key of the post stays the same."""
        try:
            async with self._store.transaction() as tx:
                agent = await tx.agent(agent_id)
                if agent is None or not agent.alive:
                    return
                text = (
                    f"Threadsmith cannot {self._purpose}: something of this agent cannot be read. "
                    f"The log has it under `{agent_id}`. Others go on; stop this one, and a reply "
                    '"restart" goes on in a new container.'
                )
                post = self._presenter.trouble(agent, f"parked:{self._purpose}", text)
                await tx.enqueue(agent_id, post)
        except StoreUnavailable:
            raise
        except Exception:  # boundary: as above
            logger.exception("the thread of %s is not told", agent_id)
