"""The Docker runtime on the real engine."""

import asyncio
import contextlib
import dataclasses
import socket
from pathlib import Path
from typing import Any

import docker
import pytest

from bot.domain.container import (
    Container,
    ContainerSpec,
)
from bot.errors import EngineError
from bot.runtime.docker import DockerRuntime
from tests.integration.runtime.conftest import BRIDGE_IMAGE

pytestmark = [pytest.mark.docker, pytest.mark.slow(25)]


def in_container(
    engine: docker.APIClient, container: Container, *argv: str, user: str = "bridge"
) -> tuple[int, str]:
    made = engine.exec_create(container.id, list(argv), user=user)
    output = engine.exec_start(made["Id"]).decode()
    return engine.exec_inspect(made["Id"])["ExitCode"], output


def everything_of(engine: docker.APIClient, instance: str) -> list[Any]:
    filters = {"label": f"threadsmith.instance={instance}"}
    volumes = engine.volumes(filters=filters)["Volumes"] or ()
    return [*engine.containers(all=True, filters=filters), *volumes]


def port_of(container: Container) -> int:
    assert container.endpoint is not None
    return int(container.endpoint.rpartition(":")[2])


def can_connect(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_a_container_answers_on_a_loopback_port_that_the_engine_picked(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient
) -> None:
    container = await runtime.start(spec)
    ports = engine.inspect_container(container.id)["NetworkSettings"]["Ports"]["3001/tcp"]
    assert [port["HostIp"] for port in ports] == ["127.0.0.1"]
    assert container.endpoint == f"http://127.0.0.1:{ports[0]['HostPort']}"
    assert can_connect(port_of(container))
    assert await runtime.find("k3f9ab") == container
    assert list(await runtime.list()) == [container]


async def test_the_limits_hold_inside_the_container(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient
) -> None:
    container = await runtime.start(spec)
    _, status = in_container(engine, container, "cat", "/proc/self/status")
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    assert fields["Uid"].split() == ["10001"] * 4
    assert int(fields["CapEff"], 16) == 0
    assert int(fields["CapBnd"], 16) == 0xC0  # to become another user, and nothing else
    assert fields["NoNewPrivs"].strip() == "1"
    assert fields["Seccomp"].strip() == "2"

    host = engine.inspect_container(container.id)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (spec.memory_bytes, spec.memory_bytes)
    assert (host["NanoCpus"], host["PidsLimit"]) == (spec.nano_cpus, 512)
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "5m", "max-file": "2"}}
    assert host["RestartPolicy"]["Name"] == "no"
    assert not host["Binds"]

    for path in ("/etc/x", "/opt/x", "/home/bridge/x"):
        assert in_container(engine, container, "touch", path)[0] != 0, path
    for user, path in (("runner", "/workspace/x"), ("bridge", "/state/x"), ("runner", "/tmp/x")):
        assert in_container(engine, container, "touch", path, user=user)[0] == 0, path
    for user, path in (("runner", "/state/x"), ("bridge", "/workspace/y")):
        assert in_container(engine, container, "touch", path, user=user)[0] != 0, path
    assert "nosuid,nodev" in in_container(engine, container, "grep", " /tmp ", "/proc/mounts")[1]
    assert in_container(engine, container, "sh", "-c", "ulimit -c")[1].strip() == "0"


async def test_containers_of_one_deployment_do_not_reach_one_another(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient
) -> None:
    first = await runtime.start(spec)
    second = await runtime.start(dataclasses.replace(spec, agent_id="p7qdab"))
    networks = engine.inspect_container(second.id)["NetworkSettings"]["Networks"]
    [address] = [network["IPAddress"] for network in networks.values()]
    code, _ = in_container(
        engine, first, "curl", "-s", "--connect-timeout", "1", f"http://{address}:3001/"
    )
    assert code != 0


async def test_a_container_reaches_the_host_at_the_gateway_address(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient
) -> None:
    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\nhello")
        await writer.drain()
        writer.close()

    gateway = await runtime.network_gateway()
    assert await runtime.network_gateway() == gateway
    server = await asyncio.start_server(hello, gateway, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        container = await runtime.start(spec)
        url = f"http://{gateway}:{port}/"
        argv = ("curl", "-s", "--noproxy", "*", "--connect-timeout", "5", url)
        assert await asyncio.to_thread(in_container, engine, container, *argv) == (0, "hello")


async def test_removal_leaves_nothing_and_frees_the_port(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient, instance: str
) -> None:
    container = await runtime.start(spec)
    await runtime.remove(spec.agent_id)
    assert everything_of(engine, instance) == []
    assert await runtime.find(spec.agent_id) is None
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", port_of(container)))


async def test_removing_twice_and_at_once_is_a_success(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient, instance: str
) -> None:
    await runtime.start(spec)
    await asyncio.gather(*(runtime.remove(spec.agent_id) for _ in range(3)))
    await runtime.remove(spec.agent_id)
    assert everything_of(engine, instance) == []


async def test_starting_again_gives_the_running_container(
    runtime: DockerRuntime, spec: ContainerSpec
) -> None:
    first = await runtime.start(spec)
    assert await runtime.start(spec) == first
    assert list(await runtime.list()) == [first]


async def test_a_leftover_is_replaced_and_its_files_are_kept(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient
) -> None:
    first = await runtime.start(spec)
    assert in_container(engine, first, "touch", "/workspace/work", user="runner")[0] == 0
    engine.kill(first.id)
    container = await runtime.find(spec.agent_id)
    assert container is not None
    assert (container.running, container.endpoint) == (False, None)

    second = await runtime.start(spec)
    assert second.id != first.id
    assert in_container(engine, second, "ls", "/workspace")[1].strip() == "work"
    assert list(await runtime.list()) == [second]


async def test_other_deployments_are_neither_seen_nor_touched(
    runtime: DockerRuntime, spec: ContainerSpec, other_instance: str
) -> None:
    async with DockerRuntime(other_instance) as other:
        theirs = await other.start(spec)
        assert await runtime.find(spec.agent_id) is None
        assert list(await runtime.list()) == []
        await runtime.remove(spec.agent_id)
        assert await other.find(spec.agent_id) == theirs


async def test_a_name_taken_by_a_stranger_is_avoided(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient, instance: str
) -> None:
    stranger = engine.create_container(spec.image, name=f"threadsmith-{instance}-{spec.agent_id}")
    try:
        container = await runtime.start(spec)
        assert container.id != stranger["Id"]
        await runtime.remove(spec.agent_id)
        assert engine.inspect_container(stranger["Id"])["Id"] == stranger["Id"]
    finally:
        engine.remove_container(stranger["Id"], v=True)


async def test_parallel_first_starts_share_one_network(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient, instance: str
) -> None:
    specs = [dataclasses.replace(spec, agent_id=f"agent{n}") for n in range(3)]
    started = await asyncio.gather(*(runtime.start(agent_spec) for agent_spec in specs))
    assert len({container.endpoint for container in started}) == 3
    filters = {"label": f"threadsmith.instance={instance}"}
    assert len(engine.networks(filters=filters)) == 1


async def test_the_network_goes_only_when_nothing_is_on_it(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient, instance: str
) -> None:
    filters = {"label": f"threadsmith.instance={instance}"}
    await runtime.start(spec)
    await runtime.forget_network()
    assert len(engine.networks(filters=filters)) == 1
    await runtime.remove(spec.agent_id)
    await runtime.forget_network()
    await runtime.forget_network()
    assert engine.networks(filters=filters) == []


async def test_a_process_that_ends_at_once_is_an_error_with_its_last_words(
    runtime: DockerRuntime,
    spec: ContainerSpec,
    dying_image: str,
    engine: docker.APIClient,
    instance: str,
) -> None:
    with pytest.raises(EngineError) as caught:
        await runtime.start(dataclasses.replace(spec, image=dying_image))
    assert "the-last-words" in str(caught.value)
    assert "exit code 3" in str(caught.value)
    assert "the-last-words" not in caught.value.user_text
    assert everything_of(engine, instance) == []


async def test_a_missing_image_names_the_command_that_makes_it(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient, instance: str
) -> None:
    missing = "threadsmith-bridge:no-such-tag"
    with pytest.raises(EngineError) as caught:
        await runtime.check(missing)
    assert missing in caught.value.user_text
    assert "make image" in caught.value.user_text
    with pytest.raises(EngineError) as caught:
        await runtime.start(dataclasses.replace(spec, image=missing))
    assert "make image" in caught.value.user_text
    assert everything_of(engine, instance) == []


async def test_an_unknown_engine_runtime_is_found_at_the_start(instance: str) -> None:
    async with DockerRuntime(instance, engine_runtime="no-such-runtime") as runtime:
        with pytest.raises(EngineError, match="CONTAINER_RUNTIME"):
            await runtime.check(BRIDGE_IMAGE)


async def test_the_check_passes_on_this_machine(runtime: DockerRuntime) -> None:
    await runtime.check(BRIDGE_IMAGE)


async def test_a_cancelled_start_leaves_nothing_behind(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient, instance: str
) -> None:
    starting = asyncio.create_task(runtime.start(spec))
    filters = {"label": [f"threadsmith.instance={instance}"]}
    events = engine.events(filters=filters | {"event": ["create"]}, decode=True)
    with contextlib.closing(events):
        await asyncio.to_thread(next, events)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert everything_of(engine, instance) == []


async def test_the_environment_of_the_container_stays_out_of_the_names_and_labels(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient
) -> None:
    facts = engine.inspect_container((await runtime.start(spec)).id)
    assert "BRIDGE_TOKEN=canary-bridge-token" in facts["Config"]["Env"]
    assert facts["Config"]["Labels"]["threadsmith.agent"] == spec.agent_id
    assert "canary" not in str(facts["Config"]["Labels"]) + facts["Name"]


async def test_an_engine_that_is_not_there_names_the_socket_and_the_next_step(
    tmp_path: Path, spec: ContainerSpec
) -> None:
    address = f"unix://{tmp_path}/docker.sock"
    async with DockerRuntime("gone", address=address) as runtime:
        with pytest.raises(EngineError) as caught:
            await runtime.check(BRIDGE_IMAGE)
        assert address in caught.value.user_text
        assert "start it" in caught.value.user_text
        with pytest.raises(EngineError):
            await runtime.find(spec.agent_id)
