"""What the product needs from the outside, declared by the one who uses it.

Each port has one real adapter, one fake in tests/fakes.py, and one set of checks in
tests/contracts.py that both must pass.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from pydantic import SecretStr

from bot.agents.control_ports import BridgeAddress as BridgeAddress, BridgeControl  # noqa: PLC0414  (one of these ports)
from bot.agents.ledger_ports import UsageWrites
from bot.agents.message_ports import MessageWrites
from bot.agents.rule_ports import RuleWrites
from bot.agents.sandbox import SocketDirs
from bot.domain.agent import Agent, Leftover, RepoRef, ThreadRef
from bot.domain.egress import Denial
from bot.domain.message import (
    Closed,
    Message,
)
from bot.domain.model_offer import ModelOffer
from bot.domain.posts import Post
from bot.domain.task_card import TaskCard, ToolLine
from bridge.protocol import (
    Accepted,
    AgentEvent,
    ChatRequest,
    Diff,
    Event,
    ExecuteRequest,
    ModelChanged,
    Pushed,
    PushRequest,
    QuestionAsked,
    Status,
    WorkspaceReady,
    WorkspaceRequest,
)

E = TypeVar("E", bound=Event)


class Bridge(BridgeControl, Protocol):
    """The bridge's contract. Raises BridgeUnreachable or BridgeRefused."""

    async def wait_ready(self, address: BridgeAddress, timeout_seconds: float) -> None:
        """Return when the bridge answers; raises BridgeUnreachable after the timeout."""

    async def prepare(self, address: BridgeAddress, request: WorkspaceRequest) -> WorkspaceReady:
        """Clone, or find the clone already there."""

    async def execute(self, address: BridgeAddress, request: ExecuteRequest) -> Accepted:
        """Start the first task; safe to send twice."""

    async def chat(self, address: BridgeAddress, request: ChatRequest) -> Accepted:
        """Hand over the next message; safe to send twice."""

    def events(self, address: BridgeAddress, after_seq: int) -> AsyncGenerator[AgentEvent]:
        """Every stored event after `after_seq`, then the new ones, across cuts of the link.

        Ends by BridgeUnreachable when the bridge stays away. Holds a connection: whoever may
        leave it early closes it (`aclosing`).
        """

    async def set_environment(self, address: BridgeAddress, variables: Mapping[str, str]) -> None:
        """Give the tools these environment variables and no others of an earlier call."""

    async def interrupt(self, address: BridgeAddress, timeout_seconds: float) -> None:
        """Kill the running tool and end the task; returns when that is done."""

    async def revise(self, address: BridgeAddress, message_id: str, text: str | None) -> bool:
        """Change a message that still waits, or withdraw it (None); False when it is too late."""

    async def export(self, address: BridgeAddress) -> bytes:
        """The conversation as `restore` takes it."""

    async def restore(self, address: BridgeAddress, conversation: bytes) -> None:
        """Give a fresh bridge the conversation of an earlier one, before anything else."""

    async def apply(self, address: BridgeAddress, patch: bytes) -> None:
        """Apply a patch to a fresh workspace."""

    async def status(self, address: BridgeAddress) -> Status:
        """What the bridge is doing."""

    async def diff(self, address: BridgeAddress) -> Diff:
        """What changed against the source branch."""

    async def attach(self, address: BridgeAddress, name: str, data: bytes) -> str:
        """Put a file into the workspace, where it is no part of the changes; gives its path."""

    async def push_branch(self, address: BridgeAddress, request: PushRequest) -> Pushed:
        """Push what is committed to the agent's branch, and all else when the request says so."""

    async def patch(self, address: BridgeAddress) -> bytes:
        """The same as a patch that `git apply` accepts."""


@dataclass(frozen=True, slots=True)
class Access:
    """What one container gets instead of credentials: addresses that only its token opens.

    `folders` where it has no network; its addresses are the ones inside it then.
    """

    model_base_url: str
    clone_url: str
    token: SecretStr
    folders: SocketDirs | None = None


class Gateway(Protocol):
    """The only door out of the sandbox; it holds the credentials."""

    def access(self, agent_id: str, repo: RepoRef) -> Access:
        """The addresses and the token of one agent; the same each time it is asked."""

    async def open(self, agent_id: str, repo: RepoRef) -> None:
        """Let this agent's token through, for this repository; raises EngineError."""

    async def close(self, agent_id: str) -> None:
        """Let it through no more."""

    async def check_repository(self, repo: RepoRef, branch: str | None) -> str:
        """The branch to start from; raises RepositoryError."""

    @property
    def lists_repositories(self) -> bool:
        """Whether there is a token to list repositories with."""

    async def repositories(self) -> Sequence[str]:
        """The names of what the token can see; none when the host does not tell."""

    async def check_model(self, model: str) -> None:
        """Raise ModelUnusable when the provider is known not to serve this model with tools."""

    async def may_push(self, repo: RepoRef) -> bool:
        """Whether pushing is on, and there is a token that might do it."""

    async def models(self) -> Sequence[ModelOffer]:
        """Return what the provider lists; raises UserError when it shows no list."""


@dataclass(frozen=True, slots=True)
class SavedState:
    """What the host keeps of an agent's container after each task, to go on without it.

    `at` is in seconds since the epoch, `last_seq` the newest event that it includes.
    """

    conversation: bytes
    patch: bytes
    last_seq: int
    at: float


class Transaction(MessageWrites, UsageWrites, RuleWrites, Protocol):
    """One write transaction: all of it or nothing."""

    async def add_agent(self, agent: Agent) -> None:
        """Store a new agent."""

    async def save_agent(self, agent: Agent) -> None:
        """Store the agent's new state."""

    async def agent(self, agent_id: str) -> Agent | None:
        """The agent as stored, read within the transaction."""

    async def add_events(self, agent_id: str, events: Sequence[AgentEvent]) -> None:
        """Store events; one whose seq is stored already is left as it is."""

    async def claim_message(
        self, team: str, channel: str, ts: str, client_msg_id: str | None = None
    ) -> bool:
        """Take a person's message for us; False when it is taken already (a twin, a retry).

        Done in the transaction that stores what the message causes, so that a crash between
        the two loses nothing.
        """

    async def note_read(self, agent_id: str, ts: str) -> None:
        """The agent's thread is read up to this message; an earlier one changes nothing."""

    async def save_state(self, agent_id: str, state: SavedState) -> None:
        """Keep the newest state of the agent's container; it replaces the one before."""

    async def enqueue(self, agent_id: str, post: Post) -> None:
        """Store what the thread should show; the sender is woken when this commits."""


class Store(Protocol):
    """The database. Reads see the last commit."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Open a write transaction; commits at the end, rolls back on an exception."""

    async def agent(self, agent_id: str) -> Agent | None:
        """One agent by its id."""

    async def agent_of_thread(self, thread: ThreadRef) -> Agent | None:
        """The agent of this thread, alive or not."""

    async def agent_of_message(self, team: str, channel: str, ts: str) -> Agent | None:
        """The agent whose thread a message of ours belongs to."""

    async def agents(self, *, alive: bool = True, channel: str | None = None) -> Sequence[Agent]:
        """Agents, newest first."""

    async def unread(self) -> Sequence[Agent]:
        """Return the agents that ended with something unread in their files."""

    async def agents_of(self, team: str, user: str, limit: int) -> Sequence[Agent]:
        """The agents that a person has started: those alive first, the newest first."""

    async def channel_settings(self, team: str, channel: str) -> Mapping[str, str]:
        """What has been set for a channel; a name that is missing has its default."""

    async def is_claimed(self, team: str, channel: str, ts: str) -> bool:
        """Whether a person's message was taken for us already."""

    async def undelivered(self, agent_id: str) -> Sequence[Message]:
        """Messages still to be handed to the bridge, in order of arrival."""

    async def saved_state(self, agent_id: str) -> SavedState | None:
        """What was kept of the agent's container."""

    async def events(
        self,
        agent_id: str,
        task_id: str | None = None,
        *,
        kinds: Sequence[type[Event]] | None = None,
        newest: int | None = None,
    ) -> Sequence[AgentEvent]:
        """Return stored events in order: of one task, of these kinds, the `newest` few, or all."""

    async def newest_event(
        self, agent_id: str, kind: type[E], task_id: str | None = None
    ) -> E | None:
        """Return the last stored event of this kind, in one task or in all."""


class Outbox(Protocol):
    """The sender's side of the posts."""

    async def sent(self, agent_id: str, key: str, timeout_seconds: float) -> str:
        """The ts of the post, once Slack has it; raises ChannelUnavailable, or TimeoutError."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What is left of a stopped agent. `diff` is None when it was not read. `patch` is as of the
    stop when it is `newest`, as of the end of the last task otherwise, and in the thread when it
    `fits`. `leftover` is what its files are kept for. `pushed`: its commits are on its branch at
    the host. `card` is that of the task that the stop ended, if one was at work.
    """

    diff: Diff | None
    patch: bytes
    pushed: bool = False
    card: TaskCard | None = None
    newest: bool = False
    leftover: Leftover = Leftover.NOTHING
    fits: bool = True


class Presenter(Protocol):
    """Turns what happened into posts. Pure: no I/O, the same input gives the same post."""

    def root(self, agent: Agent) -> Post:
        """The message that starts the thread; it never changes."""

    def card(self, agent: Agent, card: TaskCard) -> Post:
        """The live card of a task; a line once the task has ended."""

    def step(self, agent: Agent, card: TaskCard, number: int, lines: Sequence[ToolLine]) -> Post:
        """What one step of a task did, as a message of its own."""

    def answer(self, agent: Agent, card: TaskCard) -> Sequence[Post]:
        """The end of a task: the model's answer, a limit or a trouble; the only notification."""

    def question(
        self, agent: Agent, card: TaskCard, asked: QuestionAsked, closed: Closed | None = None
    ) -> Post:
        """A question to the people, or how it was closed."""

    def stopped(self, agent: Agent, actor: str, seconds: float, saved: Saved) -> Post:
        """Who stopped the agent, what was done and what was saved."""

    def salvaged(self, agent: Agent, saved: Saved) -> Post:
        """Tell what was read of a stopped agent after its stop, or that it cannot be read."""

    def notice(self, agent: Agent, key: str, text: str) -> Post:
        """Something that happened and is no trouble; `text` is mrkdwn of ours."""

    def fallback(self, agent: Agent, event: ModelChanged) -> Post:
        """Another model goes on, and why."""

    def denied(self, agent: Agent, key: str, command: str, hosts: Sequence[Denial]) -> Post:
        """What a command wanted from the network and did not get; the first denial of each host."""

    def trouble(self, agent: Agent, key: str, text: str) -> Post:
        """What went wrong, in plain words, and the next step."""

    def patch(self, agent: Agent, key: str, patch: bytes) -> Post:
        """The changes as a file that `git apply` accepts; one for each key."""

    def mark(self, agent: Agent, message_ts: str, fate: str, *, present: bool = True) -> Post:
        """Mark a person's message by a reaction: `received`, `queued` or `used`."""
