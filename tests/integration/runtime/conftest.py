"""A deployment of its own per test, on the real engine, and an image that needs no token."""

import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator

import docker
import pytest

from bot.domain.container import ContainerSpec
from bot.runtime.docker import DockerRuntime

BRIDGE_IMAGE = os.environ.get("BRIDGE_IMAGE", "threadsmith-bridge:latest")


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.APIClient]:
    """The engine as a person at the machine sees it."""
    client = docker.APIClient(version="auto")
    yield client
    client.close()


def committed(engine: docker.APIClient, tag: str, entrypoint: str) -> str:
    """The bridge's image with another entry point, and the bridge's user for all of it."""
    made = engine.create_container(BRIDGE_IMAGE)
    try:
        engine.commit(
            made["Id"],
            repository="threadsmith-test",
            tag=tag,
            changes=f"USER bridge\nENTRYPOINT {entrypoint}",
        )
    finally:
        engine.remove_container(made["Id"], v=True)
    return f"threadsmith-test:{tag}"


@pytest.fixture(scope="session")
def listening_image(engine: docker.APIClient) -> Iterator[str]:
    """An image that answers HTTP on the bridge's port."""
    tag = f"listening-{secrets.token_hex(4)}"
    server = '["/usr/bin/tini","-s","--","python3","-m","http.server","-d","/tmp","3001"]'
    image = committed(engine, tag, server)
    yield image
    engine.remove_image(image)


@pytest.fixture(scope="session")
def dying_image(engine: docker.APIClient) -> Iterator[str]:
    """An image whose process says one line and ends."""
    tag = f"dying-{secrets.token_hex(4)}"
    image = committed(engine, tag, '["/bin/sh","-c","echo the-last-words; exit 3"]')
    yield image
    engine.remove_image(image)


@pytest.fixture
def spec(listening_image: str) -> ContainerSpec:
    return ContainerSpec(
        agent_id="k3f9ab",
        image=listening_image,
        memory_bytes=256 * 1024 * 1024,
        nano_cpus=500_000_000,
        environment={"BRIDGE_TOKEN": "canary-bridge-token"},
    )


def clean(engine: docker.APIClient, instance: str) -> None:
    """Remove all that one deployment has on the engine."""
    filters = {"label": f"threadsmith.instance={instance}"}
    for item in engine.containers(all=True, filters=filters):
        engine.remove_container(item["Id"], v=True, force=True)
    for volume in engine.volumes(filters=filters)["Volumes"] or ():
        engine.remove_volume(volume["Name"])
    for network in engine.networks(filters=filters):
        engine.remove_network(network["Id"])


@pytest.fixture
def instance(engine: docker.APIClient) -> Iterator[str]:
    name = f"test{secrets.token_hex(4)}"
    yield name
    clean(engine, name)


@pytest.fixture
def other_instance(engine: docker.APIClient) -> Iterator[str]:
    name = f"other{secrets.token_hex(4)}"
    yield name
    clean(engine, name)


@pytest.fixture
async def runtime(instance: str) -> AsyncIterator[DockerRuntime]:
    async with DockerRuntime(instance) as made:
        yield made


@contextlib.contextmanager
def shell_image(engine: docker.APIClient, name: str, script: str) -> Iterator[str]:
    argv = f'["/usr/bin/tini","-s","--","/bin/sh","-c","{script}"]'
    image = committed(engine, f"{name}-{secrets.token_hex(4)}", argv)
    try:
        yield image
    finally:
        engine.remove_image(image)


@pytest.fixture
def once_image(engine: docker.APIClient, instance: str) -> Iterator[str]:
    """An image whose process runs the first time only."""
    script = "test -e /state/once && { echo the-last-words; exit 3; }; touch /state/once; sleep 99"
    with shell_image(engine, "once", script) as image:
        yield image
        clean(engine, instance)


@pytest.fixture
def deaf_image(engine: docker.APIClient, instance: str) -> Iterator[str]:
    """An image whose process ignores the polite signal."""
    with shell_image(engine, "deaf", "trap : TERM; while :; do sleep 1; done") as image:
        yield image
        clean(engine, instance)
