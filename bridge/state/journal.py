"""Appends JSON lines to a file; drops a line that a kill tore when it opens the file again."""

import asyncio
import errno
import fcntl
import json
import os
import threading
from array import array
from pathlib import Path

from bridge.errors import BridgeError
from bridge.protocol import ErrorCode

_BLOCK_BYTES = 1_048_576
_NEWLINE = b"\n"


class Journal:
    """Numbered lines, read back by number without holding them in memory.

    One process owns the file at a time: a second one gets a BridgeError.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._ends = array("Q")  # the offset behind each line
        self._syncing = threading.Lock()
        self._torn = False  # whether a line may have been written in part
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._recover()
        except BlockingIOError as error:
            os.close(self._fd)
            raise BridgeError(
                ErrorCode.INTERNAL, "Another bridge uses this state directory."
            ) from error

    def __len__(self) -> int:
        return len(self._ends)

    def append(self, line: bytes) -> int:
        """Writes one line (without its newline) and returns its number, from 1.

        Raises BridgeError when the disk is full; nothing was appended then.
        """
        before = self._end(len(self._ends))
        data = memoryview(line + _NEWLINE)
        written = 0
        try:
            if self._torn:
                os.ftruncate(self._fd, before)
            self._torn = True
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            raise BridgeError(
                ErrorCode.NO_SPACE if full else ErrorCode.INTERNAL,
                "The disk that holds the agent's state is full."
                if full
                else "The agent's state could not be written.",
            ) from error
        self._torn = False
        self._ends.append(before + written)
        return len(self._ends)

    def read(self, after: int, limit_bytes: int = _BLOCK_BYTES) -> list[bytes]:
        """Returns the lines behind number `after`: one at least, if there is one, and no more than
        `limit_bytes` together."""
        first, last = self._end(after), after
        while last < len(self._ends) and (last == after or self._ends[last] - first <= limit_bytes):
            last += 1
        size = self._end(last) - first
        return os.pread(self._fd, size, first).splitlines() if size else []

    async def sync(self) -> None:
        """Returns when everything written so far is on the disk."""
        await asyncio.to_thread(self._sync_now)

    def close(self) -> None:
        """Closes the file; once is enough, twice does no harm."""
        with self._syncing:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _sync_now(self) -> None:
        # A sync that outlives its caller keeps the file, and so its lock, from being given up.
        with self._syncing:
            if self._fd >= 0:
                os.fdatasync(self._fd)

    def _end(self, number: int) -> int:
        return self._ends[number - 1] if number else 0

    def _recover(self) -> None:
        offset = 0
        while block := os.pread(self._fd, _BLOCK_BYTES, offset):
            at = block.find(_NEWLINE)
            while at >= 0:
                self._ends.append(offset + at + 1)
                at = block.find(_NEWLINE, at + 1)
            offset += len(block)
        while self._ends and not self._is_whole(len(self._ends)):
            self._ends.pop()
        if offset != self._end(len(self._ends)):
            os.ftruncate(self._fd, self._end(len(self._ends)))

    def _is_whole(self, number: int) -> bool:
        start = self._end(number - 1)
        try:
            json.loads(os.pread(self._fd, self._end(number) - start, start))
        except ValueError:
            return False
        return True
