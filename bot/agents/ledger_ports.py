"""What the accounts need from the outside: their part of a write transaction."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from bot.domain.budget import BudgetScope
from bot.domain.usage import LedgerLine, ModelCall, Settled, Sum


class UsageWrites(Protocol):
    """The ledger within a write transaction: nobody else reserves meanwhile."""

    async def used(
        self, call: ModelCall, since: float, scopes: Iterable[BudgetScope]
    ) -> Mapping[BudgetScope, int]:
        """What is spent and reserved in each scope that this call falls into, in nano-dollars.

        Of the agent in all, of the others since then (seconds since the epoch).
        """

    async def add_call(self, call: ModelCall) -> None:
        """Enter a call that begins, at its worst case."""

    async def settle_call(self, call_id: str, settled: Settled) -> str | None:
        """Enter how a call ended, once; the agent that made it, None when that is done already."""

    async def spent(self, agent_id: str) -> int:
        """What the settled calls of an agent cost, in nano-dollars."""


class UsageReads(Protocol):
    """What the ledger holds of one workspace; an empty `user` or `channel` stands for any."""

    async def sums(
        self, team: str, *, since: float, user: str = "", channel: str = ""
    ) -> Sequence[Sum]:
        """Calls that began since then, added up by day, user, channel and model; oldest first."""

    async def lines(
        self, team: str, *, since: float, limit: int, user: str = "", channel: str = ""
    ) -> Sequence[LedgerLine]:
        """The newest of them, one by one, the oldest of those first; at most `limit`."""
