"""How a container ends, sleeps and wakes on the real engine, and what becomes of its files."""

import asyncio
import contextlib
import dataclasses
import time

import aiohttp
import docker
import pytest
from pydantic import SecretStr

from bot.bridge_client import HttpBridge
from bot.domain.container import (
    BridgeAddress,
    Container,
    ContainerSpec,
    Exit,
)
from bot.errors import EngineError
from bot.runtime import docker as runtime_module, engine as engine_module
from bot.runtime.docker import DockerRuntime
from tests.integration.runtime.conftest import BRIDGE_IMAGE
from tests.integration.runtime.test_docker import everything_of, in_container

pytestmark = [pytest.mark.docker, pytest.mark.slow(40)]

AGENT = "k3f9ab"
TOKEN = "canary-bridge-token"
KILLED = Exit(137, out_of_memory=False)


@pytest.fixture
def bridge_spec() -> ContainerSpec:
    """The real image, with memory for little more than the bridge."""
    return ContainerSpec(
        agent_id=AGENT,
        image=BRIDGE_IMAGE,
        memory_bytes=128 * 1024 * 1024,
        nano_cpus=1_000_000_000,
        environment={
            "BRIDGE_TOKEN": TOKEN,
            "OPENROUTER_API_KEY": "canary-model-token",
            "OPENROUTER_BASE_URL": "http://127.0.0.1:1/",
            "GIT_TOKEN": "canary-git-token",
        },
    )


async def ready(container: Container) -> None:
    assert container.endpoint is not None
    async with aiohttp.ClientSession() as session:
        address = BridgeAddress(container.endpoint, SecretStr(TOKEN))
        await HttpBridge(session).wait_ready(address, 20)


def write(engine: docker.APIClient, container: Container) -> None:
    for user, script in (
        ("runner", "echo work > /workspace/file"),
        ("bridge", "echo memory > /state/file"),
    ):
        assert in_container(engine, container, "sh", "-c", script, user=user)[0] == 0


def assert_written(engine: docker.APIClient, container: Container) -> None:
    argv = ("sh", "-c", "cat /workspace/file /state/file; stat -c %u:%U:%a /workspace /state")
    code, output = in_container(engine, container, *argv)
    assert (code, output.split()) == (
        0,
        ["work", "memory", "10002:runner:755", "10001:bridge:700"],
    )


async def exit_of(runtime: DockerRuntime, agent_id: str = AGENT) -> Exit | None:
    container = await runtime.find(agent_id)
    assert container is not None
    assert (container.running, container.endpoint) == (False, None)
    assert list(await runtime.list()) == [container]
    return container.exit


async def test_a_stopped_container_resumes_with_its_files_settings_and_a_port(
    runtime: DockerRuntime, bridge_spec: ContainerSpec, engine: docker.APIClient
) -> None:
    first = await runtime.start(bridge_spec)
    await ready(first)
    write(engine, first)
    before = engine.inspect_container(first.id)

    started = time.monotonic()
    await runtime.stop(AGENT)
    assert time.monotonic() - started < engine_module.GRACE_SECONDS - 1
    ended = await exit_of(runtime)
    assert ended is not None
    assert not ended.out_of_memory
    assert ended.code != KILLED.code
    assert await runtime.has_files(AGENT)

    woken = await runtime.resume(AGENT)
    await ready(woken)
    assert (woken.id, woken.running, woken.exit) == (first.id, True, None)
    assert await runtime.find(AGENT) == woken
    assert_written(engine, woken)
    after = engine.inspect_container(woken.id)
    assert after["HostConfig"] == before["HostConfig"]
    assert after["Config"] == before["Config"]
    assert await runtime.resume(AGENT) == woken


async def test_stopping_twice_at_once_and_what_is_gone_is_a_success(
    runtime: DockerRuntime, spec: ContainerSpec
) -> None:
    await runtime.stop(AGENT)
    await runtime.start(spec)
    await asyncio.gather(*(runtime.stop(AGENT) for _ in range(3)))
    await runtime.stop(AGENT)
    assert await exit_of(runtime) is not None


async def test_a_process_deaf_to_the_signal_is_killed_after_the_grace(
    runtime: DockerRuntime,
    spec: ContainerSpec,
    deaf_image: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_module, "GRACE_SECONDS", 1)
    await runtime.start(dataclasses.replace(spec, image=deaf_image))
    await runtime.stop(AGENT)
    assert await exit_of(runtime) == KILLED
    assert await runtime.has_files(AGENT)


async def test_waking_what_is_gone_is_a_clear_error(runtime: DockerRuntime) -> None:
    with pytest.raises(EngineError, match="no container") as caught:
        await runtime.resume(AGENT)
    assert "gone" in caught.value.user_text
    assert not await runtime.has_files(AGENT)


async def test_waking_what_ends_at_once_is_an_error_with_its_last_words(
    runtime: DockerRuntime, spec: ContainerSpec, once_image: str
) -> None:
    first = await runtime.start(dataclasses.replace(spec, image=once_image))
    await runtime.stop(AGENT)
    with pytest.raises(EngineError, match="the-last-words") as caught:
        await runtime.resume(AGENT)
    assert "the-last-words" not in caught.value.user_text
    assert await exit_of(runtime) == Exit(3, out_of_memory=False)
    container = await runtime.find(AGENT)
    assert container is not None
    assert container.id == first.id
    assert await runtime.has_files(AGENT)


async def test_without_its_network_it_cannot_wake_but_a_fresh_one_has_the_files(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient, instance: str
) -> None:
    write(engine, await runtime.start(spec))
    await runtime.stop(AGENT)
    await runtime.forget_network()
    [network] = engine.networks(filters={"label": f"threadsmith.instance={instance}"})
    engine.remove_network(network["Id"])
    with pytest.raises(EngineError) as caught:
        await runtime.resume(AGENT)
    assert "network" in caught.value.user_text
    assert_written(engine, await runtime.start(spec))


async def test_a_paused_container_runs_and_can_be_woken(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient
) -> None:
    container = await runtime.start(spec)
    engine.pause(container.id)
    assert await runtime.find(AGENT) == container
    assert await runtime.resume(AGENT) == container
    assert in_container(engine, container, "true")[0] == 0


async def test_one_that_never_ran_has_no_exit(
    runtime: DockerRuntime, engine: docker.APIClient, instance: str
) -> None:
    labels = {
        "threadsmith.product": "threadsmith",
        "threadsmith.instance": instance,
        "threadsmith.agent": AGENT,
    }
    engine.create_container(BRIDGE_IMAGE, labels=labels)
    assert await exit_of(runtime) is None


async def test_what_was_removed_from_outside_starts_again_with_its_files(
    runtime: DockerRuntime, bridge_spec: ContainerSpec, engine: docker.APIClient
) -> None:
    first = await runtime.start(bridge_spec)
    write(engine, first)
    engine.remove_container(first.id, v=True, force=True)
    assert await runtime.find(AGENT) is None
    assert await runtime.has_files(AGENT)
    second = await runtime.start(bridge_spec)
    assert second.id != first.id
    assert_written(engine, second)


async def test_a_child_that_runs_out_of_memory_leaves_the_container_running(
    runtime: DockerRuntime, bridge_spec: ContainerSpec, engine: docker.APIClient
) -> None:
    container = await runtime.start(bridge_spec)
    await ready(container)
    greedy = "echo 1000 > /proc/self/oom_score_adj; exec python3 -c 'bytearray(10**9)'"
    assert in_container(engine, container, "sh", "-c", greedy)[0] == 137
    await ready(container)
    assert await runtime.find(AGENT) == container
    await runtime.stop(AGENT)
    ended = await exit_of(runtime)
    assert ended is not None
    assert ended.out_of_memory
    await runtime.resume(AGENT)
    engine.kill(container.id)
    assert await exit_of(runtime) == KILLED


async def test_a_killed_bridge_ends_its_container(
    runtime: DockerRuntime, bridge_spec: ContainerSpec, engine: docker.APIClient
) -> None:
    container = await runtime.start(bridge_spec)
    await ready(container)
    in_container(engine, container, "sh", "-c", "pkill -KILL -o -u bridge")
    await asyncio.to_thread(engine.wait, container.id, timeout=10)
    assert await exit_of(runtime) == KILLED
    await ready(await runtime.resume(AGENT))


async def test_files_outlive_a_removal_that_keeps_them_and_no_other(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient, instance: str
) -> None:
    write(engine, await runtime.start(spec))
    for _ in range(2):
        await runtime.remove(AGENT, keep_files=True)
        assert await runtime.find(AGENT) is None
        assert await runtime.has_files(AGENT)
    assert_written(engine, await runtime.start(spec))
    await runtime.remove(AGENT)
    assert not await runtime.has_files(AGENT)
    assert everything_of(engine, instance) == []


async def test_half_of_the_files_are_not_the_files(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient, instance: str
) -> None:
    await runtime.start(spec)
    await runtime.remove(AGENT, keep_files=True)
    engine.remove_volume(f"threadsmith-{instance}-{AGENT}-workspace")
    assert not await runtime.has_files(AGENT)


async def test_a_cancelled_start_keeps_the_files_that_were_there_before(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient, instance: str
) -> None:
    write(engine, await runtime.start(spec))
    await runtime.remove(AGENT, keep_files=True)
    since = int(time.time())
    starting = asyncio.create_task(runtime.start(spec))
    filters = {"label": f"threadsmith.instance={instance}", "event": "start"}
    events = engine.events(filters=filters, decode=True, since=since)
    with contextlib.closing(events):
        await asyncio.to_thread(next, events)
    starting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await starting
    assert await runtime.has_files(AGENT)
    assert_written(engine, await runtime.start(spec))


async def test_a_late_start_does_not_undo_the_container_that_already_ran(
    runtime: DockerRuntime, spec: ContainerSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    container = await runtime.start(spec)
    monkeypatch.setattr(runtime_module, "START_SECONDS", 0.001)
    with pytest.raises(EngineError, match="start: no answer"):
        await runtime.start(spec)
    assert await runtime.find(AGENT) == container


async def test_two_deployments_never_stop_wake_or_remove_each_others(
    runtime: DockerRuntime, spec: ContainerSpec, other_instance: str
) -> None:
    async with DockerRuntime(other_instance) as other:
        theirs = await other.start(spec)
        await runtime.stop(AGENT)
        assert not await runtime.has_files(AGENT)
        assert await other.find(AGENT) == theirs
        await other.stop(AGENT)
        with pytest.raises(EngineError):
            await runtime.resume(AGENT)
        await runtime.remove(AGENT, keep_files=True)
        await runtime.remove(AGENT)
        assert await other.has_files(AGENT)
        assert (await other.resume(AGENT)).id == theirs.id
