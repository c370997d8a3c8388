"""Runs one program without a shell: bounded in time and output, nothing of it left behind."""

import asyncio
import codecs
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bridge.container import CERTIFICATE_VARIABLES, PROXY_VARIABLES, SYSTEM_PATH
from bridge.process.tree import MARK, ProcessTree

LIVE_LIMIT_BYTES = 262_144
_PIPE_GRACE_SECONDS = 0.5
_OOM_SCORE = 1000


class StartError(Exception):
    """The program could not be started; the message says why and holds no environment."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Bounds how much of an output stream is kept: its beginning and its end, in bytes."""

    head_bytes: int = 8_000
    tail_bytes: int = 16_000


SHORT = Limit()


@dataclass(frozen=True, slots=True)
class Output:
    """Holds what was kept of one stream. `cut_bytes` were dropped between `head` and `tail`."""

    head: bytes = b""
    tail: bytes = b""
    cut_bytes: int = 0

    @property
    def text(self) -> str:
        """Returns the stream as text; undecodable bytes are replaced, and the cut is marked."""
        if not self.cut_bytes:
            return (self.head + self.tail).decode(errors="replace")
        head, tail = (part.decode(errors="replace") for part in (self.head, self.tail))
        return f"{head}\n… {self.cut_bytes} bytes cut …\n{tail}"


@dataclass(frozen=True, slots=True)
class CommandResult:
    """Holds how a program ended. `exit_code` is negative for a signal, None when time ran out.

    `stderr` is empty unless it was asked for apart from `stdout`.
    """

    exit_code: int | None
    stdout: Output
    stderr: Output
    duration_seconds: float

    @property
    def timed_out(self) -> bool:
        """Tells whether it was killed because its time ran out."""
        return self.exit_code is None


def environment(home: Path, *, first_on_path: Sequence[Path] = ()) -> dict[str, str]:
    """Returns the whole environment of a command: of ours only these paths and proxies."""
    carried = {
        name: value
        for name in (*CERTIFICATE_VARIABLES, *PROXY_VARIABLES)
        if (value := os.environ.get(name))  # noqa: TID251  (the one place that hands some on)
    }
    return carried | {
        "PATH": ":".join([*map(str, first_on_path), SYSTEM_PATH]),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "CI": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


async def run(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout_seconds: float,
    limit: Limit = SHORT,
    on_output: Callable[[str], None] | None = None,
    separate_stderr: bool = False,
) -> CommandResult:
    """Runs `argv` to its end, kills everything that it started, and returns.

    `on_output` gets the running output of stdout (and stderr, unless separate) up to 256 KiB.
    The same killing happens when time runs out and when the caller is cancelled.
    Raises StartError when the program cannot be started.
    """
    began = time.monotonic()
    program = find_program(argv, cwd, env)
    out, err = OutputStream(limit, on_output), OutputStream(limit, None)
    family = ProcessTree()
    exit_code: int | None = None
    process: asyncio.subprocess.Process | None = None
    try:
        process = await spawn(
            [program, *argv[1:]],
            cwd,
            {**env, MARK: family.mark},
            (out, err if separate_stderr else None),
        )
        family.started(process.pid)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                exit_code = await process.wait()
        if exit_code is not None:
            # What outlives the program may hold its pipes for ever.
            await _ended_within(_PIPE_GRACE_SECONDS, out, err)
    finally:
        try:
            await family.end()
            await _ended_within(_PIPE_GRACE_SECONDS, out, err)
        finally:
            out.close()
            err.close()
            if process is not None:
                await process.wait()
    return CommandResult(exit_code, out.output(), err.output(), time.monotonic() - began)


class OutputStream(asyncio.Protocol):
    """Reads one output pipe: keeps head and tail, passes text on, tells when it has ended."""

    def __init__(self, limit: Limit, on_output: Callable[[str], None] | None) -> None:
        self._limit = limit
        self._head = bytearray()
        self._tail = bytearray()
        self._total = 0
        self._on_output = on_output
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._transport: asyncio.BaseTransport | None = None
        self.ended = asyncio.Event()
        self.ended.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Notes that the pipe is open."""
        self._transport = transport
        self.ended.clear()

    def data_received(self, data: bytes) -> None:
        """Takes more output."""
        if self._on_output is not None and self._total < LIVE_LIMIT_BYTES:
            text = self._decoder.decode(data)
            if text:
                self._on_output(text)
        self._total += len(data)
        room = self._limit.head_bytes - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail += data
        if len(self._tail) > 2 * self._limit.tail_bytes + 65_536:
            self._trim()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's name)
        """Notes that the last writer is gone."""
        self.ended.set()

    def close(self) -> None:
        """Stops reading."""
        if self._transport is not None:
            self._transport.close()

    @property
    def total(self) -> int:
        """Returns how many bytes have come."""
        return self._total

    def output(self) -> Output:
        """Returns what was kept so far."""
        self._trim()
        head, tail = bytes(self._head), bytes(self._tail)
        return Output(head, tail, self._total - len(head) - len(tail))

    def _trim(self) -> None:
        del self._tail[: max(0, len(self._tail) - self._limit.tail_bytes)]


async def _ended_within(seconds: float, *streams: OutputStream) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            for stream in streams:
                await stream.ended.wait()


async def spawn(
    argv: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    streams: tuple[OutputStream, OutputStream | None],
) -> asyncio.subprocess.Process:
    """Starts a program that goes first when memory runs out. Raises StartError.

    Its pipes are our own, because asyncio's are only given up when their last holder has died.
    """
    write_ends: list[int] = []
    try:
        write_ends.append(await _pipe_into(streams[0]))
        if streams[1] is not None:
            write_ends.append(await _pipe_into(streams[1]))
        return await asyncio.create_subprocess_exec(
            *_oom_first(),
            *argv,
            cwd=cwd,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=write_ends[0],
            stderr=write_ends[-1],
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StartError(f"The program did not start: {reason}") from error
    finally:
        for write_end in write_ends:
            os.close(write_end)


async def _pipe_into(stream: OutputStream) -> int:
    read_end, write_end = os.pipe()
    try:
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: stream, os.fdopen(read_end, "rb", buffering=0)
        )
    except BaseException:
        os.close(write_end)
        raise
    return write_end


def find_program(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> str:
    """Returns the file of the program that `argv` names. Raises StartError."""
    if not argv or not argv[0]:
        raise StartError("There is no program to run.")
    if any("\0" in part for part in argv):
        raise StartError("An argument holds a NUL character.")
    name = str(cwd / argv[0]) if "/" in argv[0] else argv[0]
    program = shutil.which(name, path=env.get("PATH", SYSTEM_PATH))
    if program is None:
        raise StartError(f"{argv[0]}: there is no such program here.")
    return program


@cache
def _oom_first() -> tuple[str, ...]:
    """Returns a prefix that makes a command the first to go when memory runs out.

    The command must be marked before it can fork, and code between our fork and its exec is not
    safe beside threads: a small program of util-linux does it instead.
    """
    choom = shutil.which("choom", path=SYSTEM_PATH)
    return (choom, "-n", str(_OOM_SCORE), "--") if choom else ()
