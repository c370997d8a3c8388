"""Ends everything that a command has started, whatever sessions and parents it moved to.

This process becomes the adopter of orphans, so that a process which left its session and lost its
parent is still found among our descendants. A runner, whose user owns nothing but what it started,
ends the last of it with one signal to everything of that user.
"""

import asyncio
import ctypes
import os
import signal
import time
import uuid
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

_PR_SET_CHILD_SUBREAPER = 36
MARK = "THREADSMITH_CALL"
_END_SECONDS = 2.0
_READ_BYTES = 262_144
_RECHECK_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    session: int
    started: int
    zombie: bool

    @property
    def identity(self) -> tuple[int, int]:
        """Tells a process from a later one with the same number."""
        return self.pid, self.started


class ProcessTree:
    """Tracks the processes of one command, from before its start until all of them are gone.

    A descendant belongs to the command by its parents, its session or the mark in its
    environment. An orphan that shed all three belongs to whichever command ends next, unless it
    was there before that command began.
    """

    def __init__(self) -> None:
        _adopt_orphans()
        self.mark = uuid.uuid4().hex
        self.pid: int | None = None
        self._before = {child.identity for child in _children(_table())}
        _families.add(self)

    def started(self, pid: int) -> None:
        """Notes the command's first process, which leads a session of its own."""
        self.pid = pid

    async def end(self) -> None:
        """Kills what is left and reaps the orphans; waits up to 2 s for the last one to die.

        The first round of kills happens before the first suspension, so a cancelled caller has
        killed all the same.
        """
        deadline = time.monotonic() + _END_SECONDS
        if _families == {self}:
            end_all_others()
        try:
            # Orphans come to us while we look: there is no fixed set whose end is an event.
            while self.kill() and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(_RECHECK_SECONDS)
            if time.monotonic() >= deadline:
                end_all_others()  # what forks faster than we look takes the others along
        finally:
            _families.discard(self)

    def kill(self) -> bool:
        """Kills once; returns True while something is left to kill, to reap or to decide."""
        table = _table()
        offspring: dict[int, list[_Process]] = defaultdict(list)
        for process in table:
            offspring[process.parent].append(process)
        left = False
        for child in _children(table):
            if child.pid == self.pid:
                # Its exit is awaited by the caller; only what hangs below it counts here.
                _send_kill(child)
                left |= _kill_below(child, offspring)
                continue
            owned = self._owns(child)
            if owned is None:
                left = True
            elif owned:
                left = True
                _send_kill(child)
                _kill_below(child, offspring)
                with suppress(ChildProcessError):
                    os.waitpid(child.pid, os.WNOHANG)
        return left

    def _owns(self, child: _Process) -> bool | None:
        """Tells whether a child of ours is this command's orphan; None: not known yet."""
        if child.session in (os.getsid(0), *(other.pid for other in _families - {self})):
            return False
        if child.identity in self._before and child.session != self.pid:
            return False
        if child.session == self.pid:
            return True
        mark = _mark(child)
        others = _families - {self}
        if any(other.mark == mark for other in others):
            return False
        if mark != self.mark and any(other.pid is None for other in others):
            return None  # it may be the first process of a command that is just starting
        return True


_families: set[ProcessTree] = set()
_owned: set[int] = set()  # the user of which every process but this one may be ended


def own_the_user(user: int) -> None:
    """Declares that every other process of this user may be ended by this one.

    Raises PermissionError unless this process is of that user, which is no person's.
    """
    if os.getuid() != user or user == 0:
        raise PermissionError(f"this process is not of user {user}")
    _owned.add(user)


def end_all_others() -> None:
    """Kills everything of the user that this process owns, in one step that no fork escapes."""
    if os.getuid() in _owned:
        with suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)  # to all that it may signal; never to this process


@cache
def _adopt_orphans() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _table() -> list[_Process]:
    processes = []
    for name in os.listdir("/proc"):  # noqa: PTH208  (called often; the names alone will do)
        if not name.isdigit():
            continue
        stat = _read(f"/proc/{name}/stat")
        if not stat:
            continue  # it ended while we looked
        fields = stat[stat.rindex(b")") + 2 :].split()
        processes.append(
            _Process(
                pid=int(name),
                parent=int(fields[1]),
                session=int(fields[3]),
                started=int(fields[19]),
                zombie=fields[0] == b"Z",
            )
        )
    return processes


def _read(path: str) -> bytes:
    """Reads the beginning of a file of /proc, empty when its process is gone.

    Without pathlib and buffers, because every call of a tool reads one file for each process.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, _READ_BYTES)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _children(table: list[_Process]) -> list[_Process]:
    ourselves = os.getpid()
    return [process for process in table if process.parent == ourselves]


def _kill_below(root: _Process, offspring: dict[int, list[_Process]]) -> bool:
    waiting = list(offspring[root.pid])
    is_parent = bool(waiting)
    while waiting:
        process = waiting.pop()
        _send_kill(process)
        waiting.extend(offspring[process.pid])
    return is_parent


def _send_kill(process: _Process) -> None:
    if not process.zombie:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(process.pid, signal.SIGKILL)


def _mark(process: _Process) -> str:
    prefix = f"{MARK}=".encode()
    for entry in _read(f"/proc/{process.pid}/environ").split(b"\0"):
        if entry.startswith(prefix):
            return entry[len(prefix) :].decode(errors="replace")
    return ""
