"""Runs declared processes that outlive the call that started them: few, bounded, and listed.

A development server or a long build is declared by its start; whatever else a call leaves behind
ends with it. What one of these starts belongs to it, and ends with it.
"""

import asyncio
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.process.command import Limit, OutputStream, find_program, spawn
from bridge.process.tree import MARK, ProcessTree

MAX_PROCESSES = 4
MAX_LIFETIME_SECONDS = 2 * 3_600.0
KEPT_BYTES = 200_000
_ENDED_KEPT = 8


class ProcessesError(Exception):
    """A process cannot be started, or does not exist; the message is for the model."""


@dataclass(slots=True)
class Process:
    """Holds one declared process, the newest of its output, and how much of that was `read`."""

    name: str
    command: str
    began: float
    family: ProcessTree
    stream: OutputStream
    running: asyncio.subprocess.Process
    timer: asyncio.TimerHandle
    read: int = 0
    stopped: str = ""

    @property
    def is_running(self) -> bool:
        """Tells whether its first process lives."""
        return self.running.returncode is None

    @property
    def state(self) -> str:
        """Describes since when it runs, or how it ended."""
        if self.is_running:
            return f"running for {time.monotonic() - self.began:.0f} s"
        code = self.running.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return f"ended: {self.stopped or how}"

    def new_output(self) -> tuple[str, int]:
        """Returns the output since the last call, and how many bytes of that are lost."""
        kept = self.stream.output()
        data = kept.head + kept.tail
        total = self.stream.total
        fresh = total - self.read
        self.read = total
        shown = data[-fresh:] if fresh else b""
        return shown.decode(errors="replace"), max(fresh - len(shown), 0)


class Processes:
    """Holds the declared processes of one agent, by name."""

    def __init__(
        self,
        *,
        max_processes: int = MAX_PROCESSES,
        max_lifetime_seconds: float = MAX_LIFETIME_SECONDS,
    ) -> None:
        self._max_processes = max_processes
        self._max_lifetime_seconds = max_lifetime_seconds
        self._numbers = itertools.count(1)
        self._all: dict[str, Process] = {}

    async def start(
        self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], command: str
    ) -> Process:
        """Starts a process. Raises ProcessesError at the limit, StartError when it cannot start."""
        await self.tidy()
        live = [process for process in self._all.values() if process.is_running]
        if len(live) >= self._max_processes:
            names = ", ".join(f"{process.name} ({process.command[:60]})" for process in live)
            raise ProcessesError(
                f"{self._max_processes} processes run already: {names}. Stop one with stop_process."
            )
        program = find_program(argv, cwd, env)
        family, stream = ProcessTree(), OutputStream(Limit(0, KEPT_BYTES), None)
        try:
            running = await spawn(
                [program, *argv[1:]], cwd, {**env, MARK: family.mark}, (stream, None)
            )
        except BaseException:
            await family.end()
            raise
        family.started(running.pid)
        name = f"p{next(self._numbers)}"
        timer = asyncio.get_running_loop().call_later(
            self._max_lifetime_seconds, self._expire, name
        )
        made = Process(name, command, time.monotonic(), family, stream, running, timer)
        self._all[name] = made
        return made

    def find(self, name: str) -> Process:
        """Returns the process of that name. Raises ProcessesError."""
        if process := self._all.get(name):
            return process
        raise ProcessesError(f"There is no process {name[:40]!r}. {self.listed()}")

    def listed(self) -> str:
        """Describes all of them, a line each."""
        if not self._all:
            return "No process has been started with start_process."
        return "\n".join(
            f"{process.name}: {process.command[:200]} ({process.state})"
            for process in self._all.values()
        )

    async def stop(self, name: str) -> Process:
        """Ends a process and everything that it started."""
        process = self.find(name)
        if process.is_running:
            process.stopped = "stopped"
        await self._end(process)
        return process

    async def tidy(self) -> None:
        """Ends what ended processes left behind, and forgets the oldest of them."""
        ended = [process for process in self._all.values() if not process.is_running]
        for process in ended:
            await self._end(process)
        for process in ended[:-_ENDED_KEPT]:
            del self._all[process.name]

    async def close(self) -> None:
        """Ends all of them."""
        for name in list(self._all):
            await self.stop(name)

    def _expire(self, name: str) -> None:
        process = self._all.get(name)
        if process is not None and process.is_running:
            process.stopped = f"its {self._max_lifetime_seconds:g} s were over"
            process.family.kill()

    async def _end(self, process: Process) -> None:
        process.timer.cancel()
        await process.family.end()
        await process.running.wait()
        process.stream.close()
