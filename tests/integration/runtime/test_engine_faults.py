"""An engine that misbehaves: the real one behind a socket that changes some of its answers."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import docker
import pytest
from aiohttp import web

from bot.domain.container import ContainerSpec
from bot.errors import EngineError
from bot.runtime import docker as runtime_module
from bot.runtime.docker import DockerRuntime
from tests.integration.runtime.test_docker import everything_of

pytestmark = pytest.mark.docker

Fault = Callable[[str, str, bytes], tuple[int, bytes] | None]


class FaultyEngine:
    """Forwards to the real engine; `fault` may replace an answer, given method, path and body."""

    def __init__(self, upstream: aiohttp.ClientSession) -> None:
        self._upstream = upstream
        self.fault: Fault = lambda _method, _path, _body: None
        self.calls: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.calls.append(f"{request.method} {request.path}")
        url = f"http://engine{request.raw_path}"
        headers = {"Content-Type": request.headers.get("Content-Type", "application/json")}
        body = await request.read()
        timeout = aiohttp.ClientTimeout(total=20)
        async with self._upstream.request(
            request.method, url, data=body, headers=headers, timeout=timeout
        ) as answer:
            content, status = await answer.read(), answer.status
            kind = answer.headers.get("Content-Type", "text/plain")
        if replaced := self.fault(request.method, request.path, content):
            status, content = replaced
        return web.Response(status=status, body=content, headers={"Content-Type": kind})


@pytest.fixture
async def faulty(tmp_path: Path) -> AsyncIterator[FaultyEngine]:
    connector = aiohttp.UnixConnector("/var/run/docker.sock")
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        engine = FaultyEngine(session)
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", engine.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.UnixSite(runner, str(tmp_path / "engine.sock")).start()
        yield engine
        await runner.cleanup()


@pytest.fixture
async def runtime(
    faulty: FaultyEngine, instance: str, tmp_path: Path
) -> AsyncIterator[DockerRuntime]:
    async with DockerRuntime(instance, address=f"unix://{tmp_path}/engine.sock") as made:
        yield made


def message(text: str) -> bytes:
    return json.dumps({"message": text}).encode()


async def test_a_port_that_another_took_meanwhile_is_tried_again(
    runtime: DockerRuntime, faulty: FaultyEngine, spec: ContainerSpec
) -> None:
    failures = iter(["driver failed: port is already allocated", "bind: address already in use"])

    def fault(method: str, path: str, _: bytes) -> tuple[int, bytes] | None:
        if method == "POST" and path.endswith("/start"):
            text = next(failures, None)
            return (500, message(text)) if text else None
        return None

    faulty.fault = fault
    container = await runtime.start(spec)
    assert container.running
    assert sum(call.endswith("/start") for call in faulty.calls) == 3


async def test_ports_that_are_never_free_end_in_a_clear_error_and_nothing_left(
    runtime: DockerRuntime,
    faulty: FaultyEngine,
    spec: ContainerSpec,
    engine: docker.APIClient,
    instance: str,
) -> None:
    def fault(method: str, path: str, _: bytes) -> tuple[int, bytes] | None:
        taken = method == "POST" and path.endswith("/start")
        return (500, message("port is already allocated")) if taken else None

    faulty.fault = fault
    with pytest.raises(EngineError) as caught:
        await runtime.start(spec)
    assert "No port was free" in caught.value.user_text
    assert everything_of(engine, instance) == []


@pytest.mark.parametrize(
    "change",
    [
        (b'"ReadonlyRootfs":true', b'"ReadonlyRootfs":false', "ReadonlyRootfs"),
        (b'"no-new-privileges"', b'"apparmor=unconfined"', "no-new-privileges"),
        (b'"CapDrop":["ALL"]', b'"CapDrop":null', "CapDrop"),
        (b'"MemorySwap":268435456', b'"MemorySwap":-1', "MemorySwap"),
    ],
)
async def test_an_engine_that_drops_a_limit_starts_nothing(
    runtime: DockerRuntime,
    faulty: FaultyEngine,
    spec: ContainerSpec,
    engine: docker.APIClient,
    instance: str,
    change: tuple[bytes, bytes, str],
) -> None:
    old, new, word = change

    def fault(method: str, path: str, body: bytes) -> tuple[int, bytes] | None:
        if method == "GET" and path.endswith("/json") and b"HostConfig" in body and old in body:
            return 200, body.replace(old, new)
        return None

    faulty.fault = fault
    with pytest.raises(EngineError, match=word) as caught:
        await runtime.start(spec)
    assert "nothing was started" in caught.value.user_text
    assert everything_of(engine, instance) == []


async def test_a_removal_already_under_way_is_waited_for(
    runtime: DockerRuntime,
    faulty: FaultyEngine,
    spec: ContainerSpec,
    engine: docker.APIClient,
    instance: str,
) -> None:
    def fault(method: str, path: str, _: bytes) -> tuple[int, bytes] | None:
        going = method == "DELETE" and "/containers/" in path
        return (409, message("removal is already in progress")) if going else None

    await runtime.start(spec)
    faulty.fault = fault
    await runtime.remove(spec.agent_id)
    assert everything_of(engine, instance) == []


async def test_a_slow_engine_is_an_error_and_what_it_made_late_is_removed(
    runtime: DockerRuntime,
    spec: ContainerSpec,
    engine: docker.APIClient,
    instance: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await runtime.list()
    monkeypatch.setattr(runtime_module, "START_SECONDS", 0.1)
    with pytest.raises(EngineError, match=r"start: no answer"):
        await runtime.start(spec)
    assert everything_of(engine, instance) == []


async def test_an_engine_that_answers_nonsense_is_an_engine_error(
    runtime: DockerRuntime, faulty: FaultyEngine, spec: ContainerSpec
) -> None:
    await runtime.list()
    faulty.fault = lambda _method, _path, _body: (500, b"<html>")
    for call in (runtime.list(), runtime.find("a"), runtime.remove("a"), runtime.start(spec)):
        with pytest.raises(EngineError, match="500"):
            await call
