"""What the product asks of an engine: one container an agent, and the agent's files."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bot.agents.sandbox import SocketDirs


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """What one agent's container is made from. Sizes in bytes, CPU in billionths of a core.

    `folders`: it has no network, and is reached through these. `disk_bytes`: of a file, and of a
    volume where the engine bounds them; 0 is no limit.
    """

    agent_id: str
    image: str
    memory_bytes: int
    nano_cpus: int
    environment: dict[str, str] = field(repr=False)
    folders: SocketDirs | None = None
    disk_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container ended: its exit code, and whether anything in it ran out of memory."""

    code: int
    out_of_memory: bool


@dataclass(frozen=True, slots=True)
class Container:
    """One container as the engine reports it.

    `endpoint` is None unless it runs; `exit` is None while it runs or before it ever did.
    """

    id: str
    agent_id: str
    running: bool
    endpoint: str | None
    exit: Exit | None = None


class Runtime(Protocol):
    """Starts, finds and removes the containers of this deployment, and no others."""

    async def start(self, spec: ContainerSpec) -> Container:
        """Create and start the container; raises EngineError, and leaves nothing behind then."""

    async def find(self, agent_id: str) -> Container | None:
        """The agent's container, running or not; raises EngineError when the engine is silent."""

    async def list(self) -> Sequence[Container]:
        """All containers of this deployment; raises EngineError when the engine is silent."""

    async def stop(self, agent_id: str) -> None:
        """Stop the container and keep it; one that is stopped or gone is a success."""

    async def resume(self, agent_id: str) -> Container:
        """Start a stopped container again, its files as they were; raises EngineError."""

    async def has_files(self, agent_id: str) -> bool:
        """Whether the volumes of the agent are still there, with or without a container."""

    async def files(self) -> Mapping[str, float]:
        """Whose volumes there are, and when the newest was made (seconds since the epoch).

        With or without a container, complete or not; raises EngineError when the engine is silent.
        """

    async def disk_usage(self) -> Mapping[str, int]:
        """How many bytes the files of each agent take; slow. Raises EngineError."""

    async def remove(self, agent_id: str, *, keep_files: bool = False) -> None:
        """Remove the container, and its volumes unless they are kept for a later one.

        What is gone or going is a success.
        """

    def watch(self) -> AsyncGenerator[str, None]:
        """Ids of agents whose container ended or went away, as it happens; a hint, never the truth.

        Ends, or raises EngineError, when the engine goes away.
        """
