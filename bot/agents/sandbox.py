"""The two folders through which a sealed container is reached, and what it is told about them.

A sealed container has no network: the bot's gateway listens in one folder, its bridge in the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# As the container sees them.
GATEWAY_FOLDER = "/run/gateway"
BRIDGE_FOLDER = "/run/bridge"
GATEWAY_SOCKET = "gateway.sock"
EGRESS_SOCKET = "egress.sock"
BRIDGE_SOCKET = "bridge.sock"
# Where the forwarder inside listens for the bridge.
GATEWAY_ADDRESS = "127.0.0.1:3002"


@dataclass(frozen=True, slots=True)
class SocketFolders:
    """One agent's folders on the host, and the group that may use the sockets in them."""

    gateway: Path
    bridge: Path
    gid: int


def sealed_environment(folders: SocketFolders) -> Mapping[str, str]:
    """What the launcher, the forwarder and the bridge need to know; tools are told of the proxy."""
    return {
        "BRIDGE_SOCKET": f"{BRIDGE_FOLDER}/{BRIDGE_SOCKET}",
        "GATEWAY_SOCKET": f"{GATEWAY_FOLDER}/{GATEWAY_SOCKET}",
        "EGRESS_SOCKET": f"{GATEWAY_FOLDER}/{EGRESS_SOCKET}",
        "SOCKET_GID": str(folders.gid),
    }
