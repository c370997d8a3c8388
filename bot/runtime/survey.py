"""What an engine says about itself and about the image of the bridge."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import docker

# `scripts/build-image.sh` writes it: the hash of the code that the image holds.
LABEL_CODE = "threadsmith.code"


@dataclass(frozen=True, slots=True)
class Survey:
    """`image_code` is None when the image is missing, "" when it does not say."""

    version: str
    api_version: str
    storage_driver: str
    root: Path
    runtimes: frozenset[str]
    image_version: str
    image_code: str | None


def surveyed(api: "docker.APIClient", image: str) -> Survey:
    """Ask the engine; raises what the SDK raises."""
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
