"""Checks the container engine and the host's network for the doctor."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from bot.config import Settings
from bot.domain.health import Finding, broken, doubtful, fine
from bot.errors import ConfigurationError
from bot.runtime.docker import DockerRuntime
from bot.runtime.survey import why_open

# With these an image is copied whole for every container.
_SLOW_DRIVERS = frozenset({"vfs", "devicemapper"})
_LISTENING = "0A"
_ANYWHERE = frozenset({"00000000", "0" * 32})
_SHOWN = 12


async def engine(runtime: DockerRuntime, settings: Settings) -> Finding:
    """Checks that the engine answers and is new enough; raises EngineError."""
    survey = await runtime.survey(settings.bridge_image)
    summary = f"Docker {survey.version}, API {survey.api_version}, storage {survey.storage_driver}"
    if tuple(int(part) for part in survey.api_version.split(".")) < (1, 41):
        return broken(summary, "Upgrade the engine to Docker 20.10 or newer (API 1.41).")
    wanted = settings.container_runtime
    if wanted and wanted not in survey.runtimes:
        return broken(
            f"{summary}; it knows no runtime {wanted}", "Install it, or clear CONTAINER_RUNTIME."
        )
    if survey.storage_driver in _SLOW_DRIVERS:
        return doubtful(summary, "Let the engine use overlay2: a start takes seconds less.")
    return fine(summary)


async def image(runtime: DockerRuntime, settings: Settings, code: Path) -> Finding:
    """Checks that the image of the bridge exists and holds the code in this folder."""
    survey = await runtime.survey(settings.bridge_image)
    name = settings.bridge_image
    if survey.image_code is None:
        return broken(f"the image {name} is not on this machine", "Run `make image`.")
    if not survey.image_code:
        return doubtful(f"{name} does not say which code it holds", "Run `make image`.")
    if survey.image_code != code_hash(code):
        return broken(f"{name} holds other code than this bot", "Run `make image`.")
    return fine(" ".join(filter(None, (name, survey.image_version, "of this very code"))))


def code_hash(code: Path) -> str:
    """Hashes the Python files below a folder, as `scripts/build-image.sh` does for its label."""
    whole = hashlib.sha256()
    for path in sorted(
        code.rglob("*.py"), key=lambda file: file.relative_to(code.parent).as_posix()
    ):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        whole.update(f"{digest}  {path.relative_to(code.parent).as_posix()}\n".encode())
    return whole.hexdigest()[:32]


async def network(
    runtime: DockerRuntime, settings: Settings, tables: Path = Path("/proc/net")
) -> Finding:
    """Checks that containers are sealed, and else which ports of this host they can reach."""
    try:
        reason = await why_open(runtime.why_not_sealed, settings)
    except ConfigurationError as error:
        return broken(str(error), "Set SANDBOX_NETWORK=open, or use an engine of this machine.")
    if not reason:
        return fine("containers have no network; what tools may fetch goes by an allow-list")
    return open_network(reason, settings.gateway_port, tables)


def open_network(reason: str, gateway_port: int, tables: Path) -> Finding:
    """Reports what a container on an open network can reach; `reason` says why it is open."""
    summary = (
        f"the containers' network is open ({reason}): the internet, its private ranges, the "
        "metadata service of a cloud"
    )
    step = "Close what should not be reached by firewall rules on the engine's network."
    try:
        ports = sorted(set(_reachable(tables)) - {gateway_port})
    except OSError:
        return doubtful(f"{summary}, and what this host offers on all interfaces", step)
    shown = ", ".join(str(port) for port in ports[:_SHOWN])
    more = f" and {len(ports) - _SHOWN} more" if len(ports) > _SHOWN else ""
    if not ports:
        return doubtful(f"{summary}; nothing of this host listens on all interfaces", step)
    return doubtful(f"{summary}, and this host's ports {shown}{more}", step)


def _reachable(tables: Path) -> Iterator[int]:
    """Yields the ports that listen on all interfaces, from the kernel's tables."""
    for name in ("tcp", "tcp6"):
        for line in (tables / name).read_text().splitlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            address, _, port = local.partition(":")
            if state == _LISTENING and address in _ANYWHERE:
                yield int(port, 16)
