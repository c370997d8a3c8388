"""Gives each agent its share of the connections to the bot, and says who gives way at a limit.

Every connection takes a descriptor of the bot, a tunnel of the egress proxy two. Whoever has shown
no valid token gives way first. The number of a new descriptor is the lowest that is free, so it
says how full the process is; beyond a threshold the gateway accepts nobody, and the rest stays for
Slack, the engine, git and the database.
"""

import asyncio
import contextlib
import logging
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

AGENT_CONNECTIONS = 32
TUNNEL_ENDS = 2
HEAD_SECONDS = 10.0
# Longer than a client keeps an idle connection; the other way round a request meets its end.
IDLE_SECONDS = 75.0
UNMOVED_SECONDS = 120.0
RESERVED_DESCRIPTORS = 256
_MANY_DESCRIPTORS = 2**20
_LOOK_AGAIN_SECONDS = 0.1
_FULL_SECONDS = 1.0

_log = logging.getLogger(__name__)


def raise_descriptor_limit() -> int:
    """Raises the number of descriptors of this process to what it may have, and returns that."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return _MANY_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def first_reserved_descriptor() -> int:
    """Returns the descriptor from which on the gateway accepts nobody."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        soft = _MANY_DESCRIPTORS
    return soft - max(soft // 4, min(RESERVED_DESCRIPTORS, soft // 2))


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds the connections of one agent in number and time, and those of all in number."""

    per_agent: int = AGENT_CONNECTIONS
    first_reserved: int = field(default_factory=first_reserved_descriptor)
    head_seconds: float = HEAD_SECONDS
    # How long the body of a request, or the reader of an answer, may stand still.
    unmoved_seconds: float = UNMOVED_SECONDS
    # When a connection of the egress proxy gives way to a newer one: before its head is read,
    # and as an open tunnel in which nothing moves.
    headless_seconds: float = 0.5
    silent_seconds: float = 10.0
    accept_again_seconds: float = 1.0


class Slot:
    """One connection in the table. `owner` is its agent, or an address that has named none."""

    def __init__(self, owner: str, ends: int, drop: Callable[[], object]) -> None:
        self.owner = owner
        self.ends = ends
        self.drop = drop
        self.is_known = False
        self.since = time.monotonic()
        self.idle_since: float | None = None  # None while it is at work

    def mark_idle(self) -> None:
        """Notes that the connection is at rest from now on."""
        self.idle_since = time.monotonic()


class ConnectionTable:
    """Holds the connections of all agents."""

    def __init__(self, limits: ConnectionLimits | None = None) -> None:
        self.limits = limits or ConnectionLimits()
        self._shares: dict[str, dict[Slot, None]] = {}
        self._unknown: dict[Slot, None] = {}  # of all agents, the oldest one first
        self._freed = asyncio.Event()
        self._ends = 0
        # How many ends the table had when the process was full, and until when that counts.
        self._full = (0, 0.0)

    def admit(self, slot: Slot, descriptor: int) -> bool:
        """Adds a connection, for which others may have to go; False: it is refused."""
        if not self._make_room(slot.owner, slot.ends):
            _log.warning("a connection was refused: all %d are in use", self.limits.per_agent)
            return False
        if self._is_full(descriptor):
            oldest = next(iter(self._unknown), None)
            if oldest is None:
                _log.error(
                    "a connection was refused: the bot has %d files open, and keeps the rest for "
                    "itself. Raise the limit of open files (LimitNOFILE)",
                    descriptor,
                )
                return False
            self._drop(oldest)
        self._join_share(slot)
        self._unknown[slot] = None
        return True

    def mark_known(self, slot: Slot, agent_id: str) -> bool:
        """Notes that a connection has shown that it may stay; False: its agent has no room."""
        if not self.move(slot, agent_id):
            return False
        slot.is_known = True
        self._unknown.pop(slot, None)
        return True

    def move(self, slot: Slot, agent_id: str) -> bool:
        """Counts a connection to this agent from now on; False: the agent has no room."""
        if slot.owner == agent_id:
            return True
        if not self._make_room(agent_id, slot.ends):
            return False
        self._leave_share(slot)
        slot.owner = agent_id
        self._join_share(slot)
        return True

    def remove(self, slot: Slot) -> None:
        """Removes a connection that has ended; safe to call twice."""
        self._leave_share(slot)
        self._unknown.pop(slot, None)
        self._freed.set()

    async def wait_for_room(self, owner: str, ends: int) -> None:
        """Waits until a connection of this owner would be admitted."""
        while self._yielding(owner, ends) is None:
            self._freed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                    await self._freed.wait()

    def drop_all(self) -> None:
        """Drops every connection."""
        for share in list(self._shares.values()):
            for slot in list(share):
                self._drop(slot)

    def _make_room(self, owner: str, ends: int) -> bool:
        yielding = self._yielding(owner, ends)
        for slot in yielding or ():
            self._drop(slot)
        return yielding is not None

    def _yielding(self, owner: str, ends: int) -> list[Slot] | None:
        """Lists who gives way to a connection with so many ends; None: there is no room."""
        share = self._shares.get(owner, {})
        over = sum(slot.ends for slot in share) + ends - self.limits.per_agent
        yielding = []
        for slot in self._candidates(share, is_tunnel=ends == TUNNEL_ENDS):
            if over <= 0:
                break
            yielding.append(slot)
            over -= slot.ends
        return None if over > 0 else yielding

    def _candidates(self, share: Iterable[Slot], *, is_tunnel: bool) -> Iterator[Slot]:
        """Lists who may be asked to go: no token, then the most silent tunnel, then who is idle.

        A tunnel takes no place of a client of the gateway, and of another tunnel only when that
        stands still, because the next tunnels can wait where they are.
        """
        now = time.monotonic()
        patience = self.limits.headless_seconds if is_tunnel else 0.0
        yield from (s for s in share if not s.is_known and now - s.since >= patience)
        patience = self.limits.silent_seconds if is_tunnel else 0.0
        idle = sorted(
            (now - slot.idle_since, slot.ends == TUNNEL_ENDS, id(slot), slot)
            for slot in share
            if slot.is_known and slot.idle_since is not None
        )
        idle.reverse()
        yield from (s for seconds, tunnel, _, s in idle if tunnel and seconds >= patience)
        if not is_tunnel:
            yield from (slot for _, tunnel, _, slot in idle if not tunnel)

    def _drop(self, slot: Slot) -> None:
        self.remove(slot)
        slot.drop()

    def _is_full(self, descriptor: int) -> bool:
        """Checks whether the process is full, or was just now and the table is no smaller.

        Whoever goes leaves a low number, so that the number of the next one tells nothing.
        """
        now = time.monotonic()
        if descriptor >= self.limits.first_reserved:
            self._full = (self._ends, now + _FULL_SECONDS)
        ends, until = self._full
        return now < until and self._ends >= ends

    def _join_share(self, slot: Slot) -> None:
        self._shares.setdefault(slot.owner, {})[slot] = None
        self._ends += slot.ends

    def _leave_share(self, slot: Slot) -> None:
        share = self._shares.get(slot.owner, {})
        if slot in share:
            del share[slot]
            self._ends -= slot.ends
        if not share:
            self._shares.pop(slot.owner, None)
