"""Asks the engine about itself: its versions, the image of the bridge, and sealed networks."""

import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.config import Settings
from bot.errors import ConfigurationError

if TYPE_CHECKING:
    import docker

_OPEN = "Set SANDBOX_NETWORK=open, and read SECURITY.md about what containers reach then."
# `scripts/build-image.sh` writes it: the hash of the code that the image holds.
LABEL_CODE = "threadsmith.code"


@dataclass(frozen=True, slots=True)
class Survey:
    """Describes an engine and the image of the bridge.

    `image_code` is None when the image is missing, "" when the image has no such label.
    """

    version: str
    api_version: str
    storage_driver: str
    root: Path
    runtimes: frozenset[str]
    image_version: str
    image_code: str | None


def survey_engine(api: "docker.APIClient", image: str) -> Survey:
    """Asks the engine for its survey; raises the errors of the SDK."""
    from docker.errors import NotFound

    version, info = api.version(), api.info()
    labels: dict[str, Any] | None
    try:
        facts = api.inspect_image(image)  # type: ignore[no-untyped-call]  # an open stub
        labels = facts["Config"].get("Labels") or {}
    except NotFound:
        labels = None
    return Survey(
        version=str(version.get("Version", "?")),
        api_version=str(version.get("ApiVersion", "0.0")),
        storage_driver=str(info.get("Driver", "?")),
        root=Path(str(info.get("DockerRootDir") or "/var/lib/docker")),
        runtimes=frozenset(info.get("Runtimes") or {}),
        image_version=str((labels or {}).get("org.opencontainers.image.version", "")),
        image_code=None if labels is None else str(labels.get(LABEL_CODE, "")),
    )


async def why_open(why_not: Callable[[], Awaitable[str]], settings: Settings) -> str:
    """Returns why containers get a network; empty where they are sealed, which is the rule.

    `why_not` asks the engine, as `why_not_sealed` answers. Raises ConfigurationError when the
    settings demand sealing and the engine cannot, and the errors of `why_not`.
    """
    if settings.sandbox_network == "open":
        return "SANDBOX_NETWORK=open"
    reason = await why_not()
    if reason and settings.sandbox_network == "sealed":
        raise ConfigurationError(f"SANDBOX_NETWORK=sealed: {reason}. {_OPEN}")
    return reason


def why_not_sealed(info: Mapping[str, Any], address: str, platform: str = sys.platform) -> str:
    """Returns why this engine's containers cannot use sockets of this host; empty if they can."""
    options = " ".join(map(str, info.get("SecurityOptions") or ()))
    if platform != "linux":
        return "the bot does not run on Linux"
    if not address.startswith("unix://"):
        return "the engine is not reached by a socket of this machine"
    if "Desktop" in str(info.get("OperatingSystem", "")):
        return "the engine runs in a virtual machine"
    if "name=rootless" in options or "name=userns" in options:
        return "the engine maps users, so that sockets cannot be shared with its containers"
    return ""
