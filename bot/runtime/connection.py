"""Opening a client of the engine, at the address that the environment or the settings say."""

import contextlib
import socket
from collections.abc import Iterator

import docker
from docker.utils import kwargs_from_env

from bot.runtime.errors import speaking

DEFAULT_SOCKET = "unix:///var/run/docker.sock"


def opened(
    address: str | None, timeout_seconds: int, connections: int
) -> tuple[docker.APIClient, str]:
    """Return a client and the address it speaks to; raises EngineError when nobody answers there.

    `address` None means what the environment says, as for the engine's own command line.
    """
    options = {} if address else kwargs_from_env()
    address = str(options.pop("base_url", address or DEFAULT_SOCKET))
    with answering(address):
        api = docker.APIClient(
            address,
            "auto",
            timeout_seconds,
            tls=options.get("tls", False),
            max_pool_size=connections,
        )
    return api, address


@contextlib.contextmanager
def answering(address: str) -> Iterator[None]:
    """Speak to the engine if somebody listens there; raises EngineError."""
    with speaking(address):
        _knock(address)
        yield


def _knock(address: str) -> None:
    """Fail on a dead socket before the SDK does, which would leave its own sockets open."""
    if address.startswith("unix://"):
        path = "/" + address.removeprefix("unix://").lstrip("/")
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
            probe.connect(path)
