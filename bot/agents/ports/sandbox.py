"""An agent's sandbox: the container, the bridge in it, and the gateway that is its only way out."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

from bot.domain.agent import RepoRef
from bot.domain.container import Access, BridgeAddress, Container, ContainerSpec
from bot.domain.model_offer import ModelOffer
from bridge.protocol import (
    Accepted,
    AgentEvent,
    Answered,
    ChatRequest,
    Diff,
    ExecuteRequest,
    Pushed,
    PushRequest,
    Status,
    WorkspaceReady,
    WorkspaceRequest,
)


class Runtime(Protocol):
    """Starts, finds and removes the containers of this deployment, and no others."""

    async def start(self, spec: ContainerSpec) -> Container:
        """Creates and starts the container; raises EngineError, and leaves nothing behind then."""

    async def find(self, agent_id: str) -> Container | None:
        """Returns the agent's container, running or not; raises EngineError without an answer."""

    async def list(self) -> Sequence[Container]:
        """Returns all containers of this deployment; raises EngineError without an answer."""

    async def stop(self, agent_id: str) -> None:
        """Stops the container and keeps it; one that is stopped or gone is a success."""

    async def resume(self, agent_id: str) -> Container:
        """Starts a stopped container again, its files as they were; raises EngineError."""

    async def has_files(self, agent_id: str) -> bool:
        """Checks whether the volumes of the agent are still there, with or without a container."""

    async def files(self) -> Mapping[str, float]:
        """Returns the agents that have volumes, and when the newest was made (seconds since epoch).

        With or without a container, complete or not; raises EngineError when the engine is silent.
        """

    async def disk_usage(self) -> Mapping[str, int]:
        """Measures the bytes that the files of each agent take; slow. Raises EngineError."""

    async def remove(self, agent_id: str, *, keep_files: bool = False) -> None:
        """Removes the container, and its volumes unless they are kept for a later one.

        What is gone or going is a success.
        """

    def watch(self) -> AsyncGenerator[str, None]:
        """Yields the ids of agents whose container ended or went away; a hint, never the truth.

        Ends, or raises EngineError, when the engine goes away.
        """


class Bridge(Protocol):
    """The bridge's contract. Raises BridgeUnreachable or BridgeRefused."""

    async def wait_ready(self, address: BridgeAddress, timeout_seconds: float) -> None:
        """Returns when the bridge answers; raises BridgeUnreachable after the timeout."""

    async def prepare(self, address: BridgeAddress, request: WorkspaceRequest) -> WorkspaceReady:
        """Clones the repository, or finds the clone already there."""

    async def execute(self, address: BridgeAddress, request: ExecuteRequest) -> Accepted:
        """Starts the first task; safe to send twice."""

    async def chat(self, address: BridgeAddress, request: ChatRequest) -> Accepted:
        """Delivers the next message; safe to send twice."""

    def events(self, address: BridgeAddress, after_seq: int) -> AsyncGenerator[AgentEvent]:
        """Returns every stored event after `after_seq`, then the new ones, across cuts of the link.

        Ends by BridgeUnreachable when the bridge stays away. Holds a connection: whoever may
        leave it early closes it (`aclosing`).
        """

    async def set_environment(self, address: BridgeAddress, variables: Mapping[str, str]) -> None:
        """Gives the tools these environment variables and no others of an earlier call."""

    async def interrupt(self, address: BridgeAddress, timeout_seconds: float) -> None:
        """Kills the running tool and ends the task; returns when that is done."""

    async def revise(self, address: BridgeAddress, message_id: str, text: str | None) -> bool:
        """Changes a message that still waits, or withdraws it (None); False when it is too late."""

    async def export(self, address: BridgeAddress) -> bytes:
        """Returns the conversation as `restore` takes it."""

    async def restore(self, address: BridgeAddress, conversation: bytes) -> None:
        """Gives a fresh bridge the conversation of an earlier one, before anything else."""

    async def apply(self, address: BridgeAddress, patch: bytes) -> None:
        """Applies a patch to a fresh workspace."""

    async def status(self, address: BridgeAddress) -> Status:
        """Returns the state of the bridge."""

    async def diff(self, address: BridgeAddress) -> Diff:
        """Returns the changes against the source branch."""

    async def attach(self, address: BridgeAddress, name: str, data: bytes) -> str:
        """Puts a file into the workspace, where it is no part of the changes; returns its path."""

    async def push_branch(self, address: BridgeAddress, request: PushRequest) -> Pushed:
        """Pushes what is committed to the agent's branch, and all else when the request says so."""

    async def patch(self, address: BridgeAddress) -> bytes:
        """Returns the same as a patch that `git apply` accepts."""

    async def answer(
        self, address: BridgeAddress, question_id: str, answer: str, author: str
    ) -> Answered:
        """Answers the question that a task waits for; safe to send twice."""

    async def pause(self, address: BridgeAddress, task_id: str) -> None:
        """Pauses the task before its next model call."""

    async def resume(self, address: BridgeAddress, task_id: str) -> None:
        """Resumes a paused task."""

    async def undo(self, address: BridgeAddress, task_id: str) -> int:
        """Puts the files back to before the last task; returns how many of them differ by it."""


class Gateway(Protocol):
    """The only door out of the sandbox; it holds the credentials."""

    def access(self, agent_id: str, repo: RepoRef) -> Access:
        """Returns the addresses and the token of one agent; the same each time it is asked."""

    async def open(self, agent_id: str, repo: RepoRef) -> None:
        """Lets this agent's token through, for this repository; raises EngineError."""

    async def close(self, agent_id: str) -> None:
        """Refuses its token from now on."""

    async def check_repository(self, repo: RepoRef, branch: str | None) -> str:
        """Returns the branch to start from; raises RepositoryError."""

    @property
    def lists_repositories(self) -> bool:
        """Checks whether there is a token to list repositories with."""

    async def repositories(self) -> Sequence[str]:
        """Returns the names of what the token can see; none when the host does not tell."""

    async def check_model(self, model: str) -> None:
        """Raises ModelUnusable when the provider is known not to serve this model with tools."""

    async def may_push(self, repo: RepoRef) -> bool:
        """Checks whether pushing is on, and there is a token that might do it."""

    async def models(self) -> Sequence[ModelOffer]:
        """Returns what the provider lists; raises UserError when it shows no list."""
