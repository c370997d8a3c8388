"""Lets what arrives under one key take effect in the order of its arrival; other keys go on."""

import asyncio
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

_Line = deque[asyncio.Event]


class Turn:
    """A place in a line. What asks a network is done before `come`, so that none of it adds up."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._mine = asyncio.Event()
        line.append(self._mine)
        line[0].set()

    async def come(self) -> None:
        """Return once everything that arrived earlier has left the line."""
        await self._mine.wait()

    def leave(self) -> None:
        """Let the next one come; whoever left already leaves again without effect."""
        if self._mine in self._line:
            self._line.remove(self._mine)
        if self._line:
            self._line[0].set()


class Turns:
    """One line for each key. A lock would be held while somebody asks the network; this is not."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, _Line] = {}

    @contextmanager
    def taken(self, key: Hashable) -> Iterator[Turn]:
        """Stand in line for the length of a block, from now on."""
        line = self._lines.setdefault(key, deque())
        turn = Turn(line)
        try:
            yield turn
        finally:
            turn.leave()
            # Another line may have begun under this key since this one was empty.
            if not line and self._lines.get(key) is line:
                del self._lines[key]
