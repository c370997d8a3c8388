"""The database, and the sender of the posts in it.

`Store` is the port of the database; the other protocols are parts of it, each for those who need
no more.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from bot.domain.agent import Agent, ThreadRef
from bot.domain.budget import BudgetScope
from bot.domain.limits import Load
from bot.domain.message import Message
from bot.domain.policy import Audit
from bot.domain.posts import OpenRow, Post, PostContent, PostOutcome
from bot.domain.saved_state import SavedState
from bot.domain.secrets import SecretEntry, SecretRef
from bot.domain.usage import LedgerLine, ModelCall, Settled, Sum
from bridge.protocol import AgentEvent, Event

E = TypeVar("E", bound=Event)


class Transaction(Protocol):
    """One write transaction: all of it or nothing; nobody else decides or reserves meanwhile."""

    async def add_agent(self, agent: Agent) -> None:
        """Stores a new agent."""

    async def save_agent(self, agent: Agent) -> None:
        """Stores the agent's new state."""

    async def agent(self, agent_id: str) -> Agent | None:
        """Returns the agent as stored, read within the transaction."""

    async def add_events(self, agent_id: str, events: Sequence[AgentEvent]) -> None:
        """Stores events; one whose seq is stored already is left as it is."""

    async def claim_message(
        self, team: str, channel: str, ts: str, client_msg_id: str | None = None
    ) -> bool:
        """Claims a person's message; False when it is claimed already (a twin, a retry).

        Done in the transaction that stores what the message causes, so that a crash between
        the two loses nothing.
        """

    async def note_read(self, agent_id: str, ts: str) -> None:
        """Notes that the agent's thread is read up to this message, if it is newer."""

    async def save_state(self, agent_id: str, state: SavedState) -> None:
        """Keeps the newest state of the agent's container; it replaces the one before."""

    async def enqueue(self, agent_id: str, post: Post) -> None:
        """Stores what the thread should show; the sender is woken when this commits."""

    async def add_message(self, message: Message) -> None:
        """Stores a message that is still to be delivered; `order` is set here."""

    async def message(self, agent_id: str, message_id: str) -> Message | None:
        """Returns a message as stored, delivered or not."""

    async def message_delivered(self, agent_id: str, message_id: str) -> None:
        """Marks a message as delivered."""

    async def hand_over_again(self, agent_id: str, since: float) -> None:
        """Marks messages that were delivered after `since` for another delivery."""

    async def revise_message(self, agent_id: str, message_id: str, text: str | None) -> bool:
        """Changes a message that is not delivered yet, or drops it (None); False: too late."""

    async def used(
        self, call: ModelCall, since: float, scopes: Iterable[BudgetScope]
    ) -> Mapping[BudgetScope, int]:
        """Sums what is spent and reserved in each scope of this call, in nano-dollars.

        Of the agent in all, of the others since then (seconds since the epoch).
        """

    async def add_call(self, call: ModelCall) -> None:
        """Enters a call that begins, at its worst case."""

    async def settle_call(self, call_id: str, settled: Settled) -> str | None:
        """Enters how a call ended, once; the agent that made it, None when that is done already."""

    async def spent(self, agent_id: str) -> int:
        """Sums the cost of an agent's settled calls, in nano-dollars."""

    async def placed(self) -> int:
        """Counts the agents that have a place among those that run."""

    async def waiting(self) -> Sequence[Agent]:
        """Returns the agents that wait for a place, the first in the queue first."""

    async def load(self, team: str, user: str, channel: str, since: float) -> Load:
        """Counts the agents of one person and one channel, and the person's starts since then."""

    async def add_audit(self, entry: Audit) -> None:
        """Records who did what."""

    async def set_channel(self, team: str, channel: str, name: str, value: str) -> None:
        """Sets one setting of a channel; an empty value puts the default back."""


class SecretRows(Protocol):
    """Stores secrets; every change is durable when the call returns."""

    async def all(self) -> Sequence[tuple[SecretEntry, str]]:
        """Returns every secret with its ciphertext."""

    async def put(self, entry: SecretEntry, ciphertext: str, audit: Audit) -> None:
        """Stores a secret; it replaces the one with the same reference."""

    async def remove(self, ref: SecretRef, audit: Audit) -> bool:
        """Removes a secret; False when there is none."""

    async def encrypt_anew(self, ref: SecretRef, ciphertext: str) -> None:
        """Replaces the ciphertext of the same value."""


class UsageReads(Protocol):
    """Reads the ledger of one workspace; an empty `user` or `channel` stands for any."""

    async def sums(
        self, team: str, *, since: float, user: str = "", channel: str = ""
    ) -> Sequence[Sum]:
        """Returns the calls since then, summed by day, user, channel and model; oldest first."""

    async def lines(
        self, team: str, *, since: float, limit: int, user: str = "", channel: str = ""
    ) -> Sequence[LedgerLine]:
        """Returns the newest `limit` calls since then, the oldest of those first."""


class Store(Protocol):
    """The database. Reads see the last commit."""

    @property
    def secret_rows(self) -> SecretRows:
        """Returns the part that stores secrets."""

    @property
    def usage_rows(self) -> UsageReads:
        """Returns the part that reads the ledger."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Opens a write transaction; commits at the end, rolls back on an exception."""

    async def agent(self, agent_id: str) -> Agent | None:
        """Returns one agent by its id."""

    async def agent_of_thread(self, thread: ThreadRef) -> Agent | None:
        """Returns the agent of this thread, alive or not."""

    async def agent_of_message(self, team: str, channel: str, ts: str) -> Agent | None:
        """Returns the agent whose thread a message of ours belongs to."""

    async def agents(self, *, alive: bool = True, channel: str | None = None) -> Sequence[Agent]:
        """Returns agents, newest first."""

    async def unread(self) -> Sequence[Agent]:
        """Returns the agents that ended with something unread in their files."""

    async def agents_of(self, team: str, user: str, limit: int) -> Sequence[Agent]:
        """Returns the agents that a person has started: those alive first, the newest first."""

    async def channel_settings(self, team: str, channel: str) -> Mapping[str, str]:
        """Returns the settings of a channel; a name that is missing has its default."""

    async def is_claimed(self, team: str, channel: str, ts: str) -> bool:
        """Checks whether a person's message is claimed already."""

    async def undelivered(self, agent_id: str) -> Sequence[Message]:
        """Returns the messages to deliver to the bridge, in order of arrival."""

    async def saved_state(self, agent_id: str) -> SavedState | None:
        """Returns the saved state of the agent's container."""

    async def events(
        self,
        agent_id: str,
        task_id: str | None = None,
        *,
        kinds: Sequence[type[Event]] | None = None,
        newest: int | None = None,
    ) -> Sequence[AgentEvent]:
        """Returns stored events in order: of one task, of these kinds, the `newest` few, or all."""

    async def newest_event(
        self, agent_id: str, kind: type[E], task_id: str | None = None
    ) -> E | None:
        """Returns the last stored event of this kind, in one task or in all."""


@dataclass(frozen=True, slots=True)
class StoredInput:
    """An input from Slack whose listener has not ended; `attempts` counts its replays."""

    id: int
    body: Mapping[str, Any]
    attempts: int


class InboxRows(Protocol):
    """The stored inputs from Slack; every change is committed when the call returns."""

    async def store(self, key: str, body: Mapping[str, Any]) -> int | None:
        """Stores an input and returns its row's id; None when the key is stored already."""

    async def finish(self, row_id: int) -> None:
        """Notes that the listener has ended."""

    async def forget(self, row_id: int) -> None:
        """Drops the row: the same input may come again."""

    async def unfinished(self) -> Sequence[StoredInput]:
        """Returns the inputs that are stored and not finished, in the order of arrival."""

    async def count_attempt(self, row_id: int) -> None:
        """Notes that the input is about to be replayed."""


class OutboxRows(Protocol):
    """The stored posts; every change is committed when the call returns."""

    async def open(self) -> Sequence[OpenRow]:
        """Returns every row that Slack does not agree with, the oldest key first."""

    async def begin(self, row_id: str) -> PostContent | None:
        """Marks the row as on its way and returns its newest content; None when it is settled."""

    async def note_file(self, row_id: str, file_id: str | None) -> None:
        """Stores Slack's name of an upload before it is shared."""

    async def sent(self, row_id: str, version: int, ts: str | None) -> None:
        """Notes that Slack shows this version, and a message's ts as one of ours."""

    async def put_back(
        self, row_id: str, *, unknown: bool, error: str, failing: bool = False
    ) -> None:
        """Notes that the row did not get through: not at all, or (`unknown`) nobody knows.

        `failing` says that Slack or the way to it is in trouble, and not just busy.
        """

    async def bury(self, row_id: str, version: int, *, error: str, gone: bool) -> bool:
        """Notes that Slack refuses this version for good, or (`gone`) the place.

        False when the row had the same error already.
        """

    async def detach(self, row_id: str) -> None:
        """Gives a post that shared the message of another one a message of its own."""

    async def outcome(self, agent_id: str, key: str) -> PostOutcome | None:
        """Returns the outcome of a post; None when there is none under this key."""


class Outbox(Protocol):
    """The sender's side of the posts."""

    async def sent(self, agent_id: str, key: str, timeout_seconds: float) -> str:
        """Waits until Slack has the post, then returns its ts.

        Raises ChannelUnavailable or TimeoutError.
        """
