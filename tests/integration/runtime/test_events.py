"""Hints from the real engine's event stream."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import docker
import pytest
from aiohttp import web

from bot.domain.container import (
    ContainerSpec,
    Exit,
)
from bot.errors import EngineError
from bot.runtime.docker import DockerRuntime
from tests.integration.runtime.test_docker import in_container

pytestmark = pytest.mark.docker

HINT_SECONDS = 1.0


async def hint_of(hints: AsyncIterator[str]) -> str:
    async with asyncio.timeout(HINT_SECONDS):
        return await anext(hints)


async def test_a_kill_from_outside_is_hinted_within_a_second(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient
) -> None:
    container = await runtime.start(spec)
    async with aclosing(runtime.watch()) as hints:
        engine.kill(container.id)
        assert await hint_of(hints) == spec.agent_id
    running = await runtime.find(spec.agent_id)
    assert running is not None
    assert running.exit == Exit(137, out_of_memory=False)


async def test_a_removal_from_outside_and_a_memory_kill_are_hinted(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient
) -> None:
    container = await runtime.start(spec)
    async with aclosing(runtime.watch()) as hints:
        greedy = "echo 1000 > /proc/self/oom_score_adj; exec python3 -c 'bytearray(10**9)'"
        await asyncio.to_thread(in_container, engine, container, "sh", "-c", greedy)
        assert await hint_of(hints) == spec.agent_id
        running = await runtime.find(spec.agent_id)
        assert running is not None
        assert running.running
        engine.remove_container(container.id, v=True, force=True)
        assert await hint_of(hints) == spec.agent_id


async def test_other_deployments_are_not_hinted(
    runtime: DockerRuntime, spec: ContainerSpec, other_instance: str, engine: docker.APIClient
) -> None:
    async with DockerRuntime(other_instance) as other:
        theirs = await other.start(spec)
        ours = await runtime.start(spec)
        async with aclosing(runtime.watch()) as hints, aclosing(other.watch()) as their_hints:
            engine.kill(theirs.id)
            assert await hint_of(their_hints) == spec.agent_id
            silence = asyncio.create_task(anext(hints))
            engine.remove_container(theirs.id)
            assert await hint_of(their_hints) == spec.agent_id
            assert not silence.done()
            engine.kill(ours.id)
            assert await asyncio.wait_for(silence, HINT_SECONDS) == spec.agent_id


async def test_closing_the_runtime_ends_its_watches(instance: str, spec: ContainerSpec) -> None:
    runtime = DockerRuntime(instance)
    hints = runtime.watch()
    waiting = asyncio.create_task(anext(hints, None))
    await runtime.list()
    started = time.monotonic()
    await runtime.close()
    assert await asyncio.wait_for(waiting, HINT_SECONDS) is None
    assert time.monotonic() - started < HINT_SECONDS


async def test_a_cancelled_watcher_ends_and_another_can_begin(
    runtime: DockerRuntime, spec: ContainerSpec, engine: docker.APIClient
) -> None:
    container = await runtime.start(spec)
    for _ in range(3):
        waiting = asyncio.create_task(anext(runtime.watch()))
        await runtime.list()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with aclosing(runtime.watch()) as hints:
        engine.kill(container.id)
        assert await hint_of(hints) == spec.agent_id


async def test_an_engine_that_is_not_there_is_an_engine_error(tmp_path: Path) -> None:
    async with DockerRuntime("gone", address=f"unix://{tmp_path}/docker.sock") as runtime:
        with pytest.raises(EngineError):
            await anext(runtime.watch())


async def test_an_engine_that_never_answers_the_watch_does_not_hold_up_the_end(
    tmp_path: Path,
) -> None:
    asked = asyncio.Event()

    async def version(_: web.Request) -> web.Response:
        return web.json_response({"ApiVersion": "1.41"})

    async def events(_: web.Request) -> web.Response:
        asked.set()
        await asyncio.Event().wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/version", version)
    app.router.add_get("/{api}/events", events)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "engine.sock")).start()
    runtime = DockerRuntime("silent", address=f"unix://{tmp_path}/engine.sock")
    waiting = asyncio.create_task(anext(runtime.watch(), None))
    await asked.wait()
    async with asyncio.timeout(HINT_SECONDS):
        await runtime.close()
        assert await waiting is None
    await runner.cleanup()
