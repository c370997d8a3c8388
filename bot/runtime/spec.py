"""Builds the engine's JSON for a container from constants and checked values."""

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

from bot.domain.container import (
    ContainerSpec,
    SocketDirs,
)
from bridge.container import (
    BRIDGE_FOLDER,
    BRIDGE_PORT,
    GATEWAY_FOLDER,
    LOOPBACK,
    STATE_FOLDER,
    WORKSPACE_FOLDER,
)

PRODUCT = "threadsmith"
LABEL_PRODUCT = "threadsmith.product"
LABEL_INSTANCE = "threadsmith.instance"
LABEL_AGENT = "threadsmith.agent"
LABEL_CONFIG_HASH = "threadsmith.config-hash"

CONTAINER_PORT = f"{BRIDGE_PORT}/tcp"
PIDS_LIMIT = 512
CAPABILITIES = ("SETGID", "SETUID")
# npm, pip and compilers run what they unpack in /tmp, so it is not noexec. What lies in a tmpfs
# counts against the memory limit of the container.
TMPFS = {"/tmp": "rw,exec,nosuid,nodev,mode=1777,size=536870912"}  # noqa: S108  (in the container)
MOUNTS = {"workspace": WORKSPACE_FOLDER, "state": STATE_FOLDER}
# HOME lies on the tmpfs: the root file system is read-only, and the workspace is the repository's.
ENVIRONMENT = {"HOME": "/tmp"}  # noqa: S108  (in the container)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Deployment:
    """One installation of the bot on an engine; `instance` keeps it apart from all others."""

    instance: str
    engine_runtime: str = ""

    def __post_init__(self) -> None:
        _checked(self.instance)

    @property
    def network_name(self) -> str:
        """Returns the name of the bridge network that the containers of this deployment share."""
        return f"{PRODUCT}-{self.instance}"

    def labels(self, agent_id: str | None = None) -> dict[str, str]:
        """Returns the labels of our resources; with `agent_id` the labels of that agent's."""
        ours = {LABEL_PRODUCT: PRODUCT, LABEL_INSTANCE: self.instance}
        return ours | ({LABEL_AGENT: _checked(agent_id)} if agent_id is not None else {})

    def label_filter(self, agent_id: str | None = None) -> list[str]:
        """Returns the labels in the form of the engine's list filters."""
        return [f"{key}={value}" for key, value in self.labels(agent_id).items()]

    def container_name(self, agent_id: str) -> str:
        """Returns a name for people to read; the bot finds containers by label alone."""
        return f"{PRODUCT}-{self.instance}-{_checked(agent_id)}"

    def volume_names(self, agent_id: str) -> dict[str, str]:
        """Returns the mount point of each volume, by the volume's name."""
        base = self.container_name(agent_id)
        return {f"{base}-{kind}": target for kind, target in MOUNTS.items()}

    def network_config(self) -> Json:
        """Returns the network's arguments; containers cannot reach one another on it."""
        return {
            "driver": "bridge",
            "options": {"com.docker.network.bridge.enable_icc": "false"},
            "check_duplicate": True,
            "labels": self.labels(),
        }

    def container_config(self, spec: ContainerSpec) -> Json:
        """Returns the body of the engine's create call, config hash included."""
        environment = ENVIRONMENT | spec.environment
        config: Json = {
            "Image": spec.image,
            "Env": [f"{key}={value}" for key, value in sorted(environment.items())],
            "HostConfig": self.host_config(spec),
        }
        if spec.folders is None:
            config["ExposedPorts"] = {CONTAINER_PORT: {}}
        digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]
        return config | {"Labels": self.labels(spec.agent_id) | {LABEL_CONFIG_HASH: digest}}

    def host_config(self, spec: ContainerSpec) -> Json:
        """Returns the limits and the isolation of one container."""
        volumes = [
            {"Type": "volume", "Source": name, "Target": target}
            for name, target in self.volume_names(spec.agent_id).items()
        ]
        config: Json = {
            "NetworkMode": self.network_name if spec.folders is None else "none",
            "Mounts": volumes + (_binds(spec.folders) if spec.folders else []),
            "Tmpfs": dict(TMPFS),
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            # The launcher, which is root, makes itself and its children users without any.
            "CapAdd": list(CAPABILITIES),
            "SecurityOpt": ["no-new-privileges"],
            "Privileged": False,
            "Memory": spec.memory_bytes,
            "MemorySwap": spec.memory_bytes,
            "NanoCpus": spec.nano_cpus,
            "PidsLimit": PIDS_LIMIT,
            "Ulimits": _ulimits(spec),
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "5m", "max-file": "2"}},
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
        }
        if spec.folders is None:
            config["PortBindings"] = {CONTAINER_PORT: [{"HostIp": LOOPBACK, "HostPort": ""}]}
        return config | ({"Runtime": self.engine_runtime} if self.engine_runtime else {})


def _ulimits(spec: ContainerSpec) -> list[Json]:
    """Forbids core files, and files beyond the disk's limit, which is measured only sometimes."""
    limits = {"core": 0} | ({"fsize": spec.disk_bytes} if spec.disk_bytes else {})
    return [{"Name": name, "Soft": value, "Hard": value} for name, value in limits.items()]


def _binds(folders: SocketDirs) -> list[Json]:
    """Mounts the two folders of sockets; a socket in a read-only folder accepts connections too."""
    return [
        {"Type": "bind", "Source": str(folder), "Target": target, "ReadOnly": read_only}
        for folder, target, read_only in (
            (folders.gateway, GATEWAY_FOLDER, True),
            (folders.bridge, BRIDGE_FOLDER, False),
        )
    ]


# An engine may drop these with no more than a warning (no swap accounting, an older kernel), and a
# misconfigured one may change them. The sandbox depends on each, so each is read back.
_PROMISES = (
    "NetworkMode", "ReadonlyRootfs", "CapDrop", "Privileged", "Memory", "MemorySwap", "NanoCpus",
    "PidsLimit", "Tmpfs", "Runtime",
)  # fmt: skip


def broken_promises(expected: Json, actual: Json) -> list[str]:
    """Compares the host config that was asked for with the one read back; empty when all hold."""
    wrong = [
        f"{key} is {actual.get(key)!r}, not {expected[key]!r}"
        for key in _PROMISES
        if key in expected and actual.get(key) != expected[key]
    ]
    added = sorted(str(name).removeprefix("CAP_") for name in actual.get("CapAdd") or ())
    if added != sorted(CAPABILITIES):
        wrong.append(f"CapAdd is {actual.get('CapAdd')!r}, not {list(CAPABILITIES)!r}")
    if not any(str(opt).startswith("no-new-privileges") for opt in actual.get("SecurityOpt") or ()):
        wrong.append("no-new-privileges is missing")
    limits = actual.get("Ulimits") or ()
    if missing := [limit for limit in expected.get("Ulimits") or () if limit not in limits]:
        wrong.append(f"Ulimits lack {missing!r}")
    if actual.get("Binds") or _mounts(actual) != _mounts(expected):
        wrong.append(f"the mounts are {actual.get('Binds')!r} and {actual.get('Mounts')!r}")
    published = actual.get("PortBindings") or {}
    bindings = [binding for port in published.values() for binding in port or ()]
    if any(binding.get("HostIp") != LOOPBACK for binding in bindings):
        wrong.append("the port is published beyond the loopback")
    if published.keys() - (expected.get("PortBindings") or {}).keys():
        wrong.append(f"these ports are published: {list(published)!r}")
    return wrong


def _mounts(config: Json) -> set[tuple[Any, ...]]:
    """Returns what is mounted where, without the fields that engines add."""
    return {
        (mount.get("Type"), mount.get("Source"), mount.get("Target"), bool(mount.get("ReadOnly")))
        for mount in config.get("Mounts") or ()
    }


def _checked(name: str) -> str:
    """Checks a name that becomes part of engine names and filters; raises ValueError."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name[:100]!r} cannot be part of a container's name")
    return name
