"""An agent's container as data: what it is made from, how it is reached, and how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from bridge.container import (
    BRIDGE_FOLDER,
    BRIDGE_SOCKET_NAME,
    EGRESS_SOCKET_NAME,
    GATEWAY_FOLDER,
    GATEWAY_SOCKET_NAME,
    Variable,
)


@dataclass(frozen=True, slots=True)
class SocketDirs:
    """The two folders on the host through which a container without a network is reached.

    The gateway listens in one of them, the bridge in the other; `gid` may use their sockets.
    """

    gateway: Path
    bridge: Path
    gid: int


def sealed_environment(folders: SocketDirs) -> Mapping[str, str]:
    """Returns the variables by which launcher, forwarder and bridge find the sockets."""
    return {
        Variable.BRIDGE_SOCKET: f"{BRIDGE_FOLDER}/{BRIDGE_SOCKET_NAME}",
        Variable.GATEWAY_SOCKET: f"{GATEWAY_FOLDER}/{GATEWAY_SOCKET_NAME}",
        Variable.EGRESS_SOCKET: f"{GATEWAY_FOLDER}/{EGRESS_SOCKET_NAME}",
        Variable.SOCKET_GID: str(folders.gid),
    }


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """Lists all that one agent's container is made from. Sizes in bytes, CPU in 10^-9 cores.

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
    """The end of a container: its exit code, and whether a process of it ran out of memory."""

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


@dataclass(frozen=True, slots=True)
class BridgeAddress:
    """The endpoint of one agent's bridge, with the token that it accepts."""

    endpoint: str
    token: SecretStr


@dataclass(frozen=True, slots=True)
class Access:
    """The addresses that one container gets instead of credentials; only its token opens them.

    `folders` where it has no network; its addresses are the ones inside it then.
    """

    model_base_url: str
    clone_url: str
    token: SecretStr
    folders: SocketDirs | None = None
