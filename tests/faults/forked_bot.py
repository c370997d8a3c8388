"""A bot that dies and starts so often that its imports would be most of the test."""

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.conftest import ROOT, Bot

PROGRAM = Path(__file__).with_name("bot_forks.py")
END_SECONDS = 10.0


class ForkedProcess:
    """The process of one bot, whose parent is not this process."""

    def __init__(self, pid: int, stderr: asyncio.StreamReader, status: asyncio.Task[int]) -> None:
        self.pid = pid
        self.stderr = stderr
        self._status = status

    @property
    def returncode(self) -> int | None:
        return self._status.result() if self._status.done() else None

    def send_signal(self, signal: int) -> None:
        with suppress(ProcessLookupError):  # its end is not reported yet
            os.kill(self.pid, signal)

    async def wait(self) -> int:
        return await asyncio.shield(self._status)


class BotForks:
    """Starts bots by asking bot_forks.py, one after the other."""

    def __init__(self, process: asyncio.subprocess.Process, requests: socket.socket) -> None:
        self._process = process
        self._requests = requests

    async def start(self, environment: dict[str, str], folder: Path) -> ForkedProcess:
        request = json.dumps({"environment": environment, "folder": str(folder)})
        reading_end, writing_end = os.pipe()
        try:
            socket.send_fds(self._requests, [request.encode()], [writing_end])
        finally:
            os.close(writing_end)
        stderr = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stderr), os.fdopen(reading_end, "rb")
        )
        pid = await self._read_number()
        return ForkedProcess(pid, stderr, asyncio.create_task(self._read_number()))

    async def _read_number(self) -> int:
        assert self._process.stdout
        return int(await self._process.stdout.readline())


@asynccontextmanager
async def bot_forks() -> AsyncIterator[BotForks]:
    """Runs bot_forks.py for the length of the block; the bots have ended before."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, str(PROGRAM), str(theirs.fileno())),
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
            )
        try:
            yield BotForks(process, ours)
        finally:
            ours.close()
            try:
                async with asyncio.timeout(END_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


@dataclass
class ForkedBot(Bot):
    """The same bot, without the second of imports at each start."""

    forks: BotForks = field(kw_only=True)

    async def start_process(self, environment: dict[str, str]) -> ForkedProcess:
        return await self.forks.start(environment, self.data_dir)
