"""The two folders through which a sealed container is reached, and what it is told about them.

A sealed container has no network: the bot's gateway listens in one folder, its bridge in the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
    """One agent's folders on the host, and the group that may use the sockets in them."""

    gateway: Path
    bridge: Path
    gid: int


def sealed_environment(folders: SocketDirs) -> Mapping[str, str]:
    """What the launcher, the forwarder and the bridge need to know; tools are told of the proxy."""
    return {
        Variable.BRIDGE_SOCKET: f"{BRIDGE_FOLDER}/{BRIDGE_SOCKET_NAME}",
        Variable.GATEWAY_SOCKET: f"{GATEWAY_FOLDER}/{GATEWAY_SOCKET_NAME}",
        Variable.EGRESS_SOCKET: f"{GATEWAY_FOLDER}/{EGRESS_SOCKET_NAME}",
        Variable.SOCKET_GID: str(folders.gid),
    }
