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
# Where the forwarder inside listens for the tools and the bridge.
GATEWAY_ADDRESS = "127.0.0.1:3002"
EGRESS_ADDRESS = "127.0.0.1:3003"


@dataclass(frozen=True, slots=True)
class SocketFolders:
    """One agent's folders on the host, and the group that may use the sockets in them."""

    gateway: Path
    bridge: Path
    gid: int

    @property
    def bridge_endpoint(self) -> str:
        """Where the agent's bridge is reached."""
        return f"unix:{self.bridge / BRIDGE_SOCKET}"


def sealed_environment(folders: SocketFolders) -> Mapping[str, str]:
    """What the container's own processes need to know."""
    proxy = f"http://{EGRESS_ADDRESS}"
    own = "127.0.0.1,localhost"
    proxies = {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy, "NO_PROXY": own}
    return {
        "BRIDGE_SOCKET": f"{BRIDGE_FOLDER}/{BRIDGE_SOCKET}",
        "GATEWAY_SOCKET": f"{GATEWAY_FOLDER}/{GATEWAY_SOCKET}",
        "EGRESS_SOCKET": f"{GATEWAY_FOLDER}/{EGRESS_SOCKET}",
        "SOCKET_GID": str(folders.gid),
        **proxies,
        **{name.lower(): value for name, value in proxies.items()},
    }
