"""What a container is made of."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bot.config import Settings
from bot.domain.container import (
    ContainerSpec,
    SocketDirs,
)
from bot.errors import ConfigurationError
from bot.runtime.spec import Deployment, broken_promises
from bot.runtime.survey import why_not_sealed, why_open

SPEC = ContainerSpec(
    agent_id="k3f9ab",
    image="image:1",
    memory_bytes=2**31,
    nano_cpus=10**9,
    environment={"BRIDGE_TOKEN": "canary"},
)


def test_the_config_hash_follows_every_part_of_the_spec() -> None:
    deployment = Deployment("one")
    changed = [
        SPEC,
        dataclasses.replace(SPEC, image="image:2"),
        dataclasses.replace(SPEC, memory_bytes=2**30),
        dataclasses.replace(SPEC, environment={"BRIDGE_TOKEN": "other"}),
    ]
    hashes = [
        deployment.container_config(spec)["Labels"]["threadsmith.config-hash"] for spec in changed
    ]
    assert len(set(hashes)) == len(changed)
    again = deployment.container_config(dataclasses.replace(SPEC))
    assert again["Labels"]["threadsmith.config-hash"] == hashes[0]


def test_nothing_of_the_host_is_mounted_and_nothing_is_privileged() -> None:
    host = Deployment("one").host_config(SPEC)
    assert {mount["Type"] for mount in host["Mounts"]} == {"volume"}
    assert "Binds" not in host
    assert host["CapAdd"] == ["SETGID", "SETUID"]
    assert host["CapDrop"] == ["ALL"]
    assert host["Privileged"] is False


def test_an_engine_runtime_is_set_only_when_asked_for() -> None:
    assert "Runtime" not in Deployment("one").host_config(SPEC)
    assert Deployment("one", "runsc").host_config(SPEC)["Runtime"] == "runsc"


@pytest.mark.parametrize("name", ["", "-x", "../x", "a b", "a=b", "x" * 64, "é"])
def test_hostile_names_never_reach_the_engine(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be part"):
        Deployment("one").container_name(name)
    with pytest.raises(ValueError, match="cannot be part"):
        Deployment(name)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"CapDrop": None}, "CapDrop"),
        ({"CapAdd": ["SETGID", "SETUID", "SYS_ADMIN"]}, "CapAdd"),
        ({"CapAdd": None}, "CapAdd"),
        ({"SecurityOpt": None}, "no-new-privileges"),
        ({"ReadonlyRootfs": False}, "ReadonlyRootfs"),
        ({"MemorySwap": -1}, "MemorySwap"),
        ({"PidsLimit": None}, "PidsLimit"),
        ({"Privileged": True}, "Privileged"),
        ({"PortBindings": {"3001/tcp": [{"HostIp": "0.0.0.0", "HostPort": ""}]}}, "loopback"),
    ],
)
def test_every_promise_that_an_engine_breaks_is_named(change: dict[str, Any], word: str) -> None:
    expected = Deployment("one").host_config(SPEC)
    assert broken_promises(expected, dict(expected)) == []
    [problem] = broken_promises(expected, expected | change)
    assert word in problem


FOLDERS = SocketDirs(Path("/data/sockets/k/gateway"), Path("/data/sockets/k/bridge"), 1000)
SEALED = dataclasses.replace(SPEC, folders=FOLDERS)


def test_a_sealed_container_has_no_network_and_two_folders() -> None:
    config = Deployment("one").container_config(SEALED)
    host = config["HostConfig"]
    assert host["NetworkMode"] == "none"
    assert "PortBindings" not in host
    assert "ExposedPorts" not in config
    assert [mount for mount in host["Mounts"] if mount["Type"] != "volume"] == [
        {"Type": "bind", "Source": str(source), "Target": target, "ReadOnly": read_only}
        for source, target, read_only in (
            (FOLDERS.gateway, "/run/gateway", True),
            (FOLDERS.bridge, "/run/bridge", False),
        )
    ]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"NetworkMode": "bridge"}, "NetworkMode"),
        ({"Binds": ["/:/host"]}, "mounts"),
        ({"Mounts": []}, "mounts"),
        ({"PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]}}, "published"),
    ],
)
def test_every_promise_of_a_sealed_container_is_read_back(
    change: dict[str, Any], word: str
) -> None:
    expected = Deployment("one").host_config(SEALED)
    assert broken_promises(expected, dict(expected)) == []
    [problem] = broken_promises(expected, expected | change)
    assert word in problem
    writable = [mount | {"ReadOnly": False} for mount in expected["Mounts"]]
    assert broken_promises(expected, expected | {"Mounts": writable})


@pytest.mark.parametrize(
    ("info", "address", "platform", "word"),
    [
        ({}, "unix:///var/run/docker.sock", "linux", ""),
        ({}, "tcp://10.0.0.1:2376", "linux", "socket of this machine"),
        ({}, "unix:///var/run/docker.sock", "darwin", "Linux"),
        ({"OperatingSystem": "Docker Desktop"}, "unix:///x", "linux", "virtual machine"),
        ({"SecurityOptions": ["name=rootless"]}, "unix:///x", "linux", "maps users"),
        ({"SecurityOptions": ["name=seccomp", "name=userns"]}, "unix:///x", "linux", "maps users"),
    ],
)
def test_where_containers_can_be_sealed(
    info: dict[str, Any], address: str, platform: str, word: str
) -> None:
    reason = why_not_sealed(info, address, platform)
    assert word in reason
    assert bool(reason) == bool(word)


async def test_containers_are_sealed_unless_it_cannot_be_or_nobody_wants_it() -> None:
    async def can() -> str:
        return ""

    async def cannot() -> str:
        return "the engine is far away"

    def wanted(network: str) -> Settings:
        return Settings(_env_file=None, sandbox_network=network)

    assert await why_open(can, wanted("")) == ""
    assert await why_open(can, wanted("sealed")) == ""
    assert await why_open(can, wanted("open")) == "SANDBOX_NETWORK=open"
    assert await why_open(cannot, wanted("")) == "the engine is far away"
    with pytest.raises(ConfigurationError, match="far away"):
        await why_open(cannot, wanted("sealed"))
