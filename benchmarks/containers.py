"""How long a container of our image takes until its bridge answers, and until it is gone."""

import asyncio
import secrets
import subprocess
import time
from pathlib import Path

import aiohttp

from benchmarks.processes import TOKEN, BenchmarkError, bridge_environment
from benchmarks.report import Row, Sample
from bot.bridge_client import HttpBridge
from bot.config import Settings
from bot.domain.container import (
    BridgeAddress,
    ContainerSpec,
)
from bot.runtime.docker import DockerRuntime
from bridge.container import BRIDGE_PORT

_ROUNDS = 4
_READY_SECONDS = 30.0
_FLOOR = "`docker run` of `true`, same image"


async def check_engine() -> None:
    """Raise EngineError, with the next step, unless the engine and the image are there."""
    async with DockerRuntime(_name()) as runtime:
        await runtime.check(Settings.read().bridge_image)


async def measure(_scratch: Path) -> list[Row]:
    """Run the three in turn; the first round is not counted."""
    settings = Settings.read()
    no_op: list[float] = []
    by_command: list[float] = []
    by_product: list[float] = []
    removed: list[float] = []
    async with aiohttp.ClientSession() as session, DockerRuntime(_name()) as runtime:
        client = HttpBridge(session)
        try:
            for _ in range(_ROUNDS + 1):
                no_op.append(await _no_op(settings.bridge_image))
                by_command.append(await _by_command(settings.bridge_image, client))
                started, gone = await _by_product(settings, runtime, client)
                by_product.append(started)
                removed.append(gone)
        finally:
            await runtime.forget_network()
    floor = Sample.milliseconds(no_op[1:])
    return [
        Row("`docker run` to healthy", Sample.milliseconds(by_command[1:]), floor, _FLOOR),
        Row("as the bot starts it, to healthy", Sample.milliseconds(by_product[1:]), floor, _FLOOR),
        Row("as the bot removes it, with volumes", Sample.milliseconds(removed[1:])),
    ]


async def _no_op(image: str) -> float:
    began = time.monotonic()
    await _docker("run", "--rm", "--entrypoint", "true", image)
    return time.monotonic() - began


async def _by_command(image: str, client: HttpBridge) -> float:
    name = _name()
    variables = [f"--env={name}={value}" for name, value in bridge_environment().items()]
    began = time.monotonic()
    try:
        await _docker(
            "run", "--detach", f"--name={name}", f"--publish=127.0.0.1::{BRIDGE_PORT}",
            *variables, image
        )  # fmt: skip
        published = await _docker("port", name, f"{BRIDGE_PORT}/tcp")
        endpoint = f"http://{published.splitlines()[0]}"
        await client.wait_ready(BridgeAddress(endpoint, TOKEN), _READY_SECONDS)
        return time.monotonic() - began
    finally:
        await _docker("rm", "--force", "--volumes", name)


async def _by_product(
    settings: Settings, runtime: DockerRuntime, client: HttpBridge
) -> tuple[float, float]:
    spec = ContainerSpec(
        agent_id=secrets.token_hex(4),
        image=settings.bridge_image,
        memory_bytes=settings.default_container_memory,
        nano_cpus=settings.default_container_cpu,
        environment=bridge_environment(),
    )
    try:
        began = time.monotonic()
        container = await runtime.start(spec)
        if container.endpoint is None:
            raise BenchmarkError("The container ended while it started.")
        await client.wait_ready(BridgeAddress(container.endpoint, TOKEN), _READY_SECONDS)
        started = time.monotonic() - began
    finally:
        began = time.monotonic()
        await runtime.remove(spec.agent_id)
    return started, time.monotonic() - began


async def _docker(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "docker", *arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    if process.returncode != 0:
        said = err.decode(errors="replace").strip()[-300:]
        raise BenchmarkError(f"docker {arguments[0]} failed: {said}")
    return out.decode().strip()


def _name() -> str:
    return f"threadsmith-bench-{secrets.token_hex(4)}"
