"""The processes that are measured: started, awaited by their own word, always ended."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from benchmarks.model import KEY
from bot.domain.container import BridgeAddress

ROOT = Path(__file__).resolve().parent.parent
TOKEN = SecretStr("canary-benchmark-token")
NOWHERE = "http://127.0.0.1:9/v1"
_LISTENING = re.compile(rb"listening on ([\w.]+):(\d+)")
_START_SECONDS = 30.0
_END_SECONDS = 5.0


class BenchmarkError(Exception):
    """What is measured did not work; the message says what and how."""


@dataclass(frozen=True, slots=True)
class Server:
    """A process that listens. `began` is its start on time.monotonic()."""

    url: str
    pid: int
    began: float

    @property
    def address(self) -> BridgeAddress:
        return BridgeAddress(self.url, TOKEN)


@asynccontextmanager
async def floor_running() -> AsyncIterator[Server]:
    """A bare aiohttp server."""
    async with _running(["benchmarks.floor"], {}) as server:
        yield server


@asynccontextmanager
async def model_running() -> AsyncIterator[Server]:
    """The scripted model without latency."""
    async with _running(["benchmarks.model"], {}) as server:
        yield server


@asynccontextmanager
async def bridge_running(scratch: Path, model_url: str = NOWHERE) -> AsyncIterator[Server]:
    """A bridge with an empty workspace and state of its own below `scratch`."""
    home = scratch / f"bridge-{time.monotonic_ns()}"
    home.mkdir(parents=True)
    environment = {
        "HOST": "127.0.0.1",
        "PORT": "0",
        "WORKSPACE_DIR": str(home / "workspace"),
        "STATE_DIR": str(home / "state"),
        "TMPDIR": str(home),
    }
    async with _running(["bridge"], environment | bridge_environment(model_url)) as server:
        yield server


def bridge_environment(model_url: str = NOWHERE) -> dict[str, str]:
    """What every bridge has to be told, in a container or not."""
    return {
        "BRIDGE_TOKEN": TOKEN.get_secret_value(),
        "OPENROUTER_API_KEY": KEY,
        "OPENROUTER_BASE_URL": model_url,
    }


@asynccontextmanager
async def _running(module: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[Server]:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *module,
        cwd=ROOT,
        env={**inherited, "LANG": "C.UTF-8", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        url = await _address(process, " ".join(module))
        # Not a TaskGroup: it would wrap what goes wrong inside the block.
        reading = asyncio.create_task(_read_on(process))
        try:
            yield Server(url, process.pid, began)
        finally:
            reading.cancel()
            await asyncio.wait([reading])
    finally:
        await _end(process)


async def _address(process: asyncio.subprocess.Process, name: str) -> str:
    last: deque[bytes] = deque(maxlen=20)
    with suppress(TimeoutError):
        async with asyncio.timeout(_START_SECONDS):
            while line := await _line(process):
                if found := _LISTENING.search(line):
                    return "http://{}:{}".format(*(part.decode() for part in found.groups()))
                last.append(line)
    said = b"".join(last).decode(errors="replace").strip()
    raise BenchmarkError(f"The process {name} did not start to listen: {said or 'it said nothing'}")


async def _read_on(process: asyncio.subprocess.Process) -> None:
    """A process whose pipe is full would stand still."""
    while await _line(process):
        pass


async def _line(process: asyncio.subprocess.Process) -> bytes:
    return await process.stderr.readline() if process.stderr is not None else b""


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_END_SECONDS):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
