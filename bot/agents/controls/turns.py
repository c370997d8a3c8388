"""Orders messages of one thread by their arrival; other threads go on meanwhile."""

import asyncio
from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

_Line = deque[asyncio.Event]


class Turn:
    """A place in a line. Network requests go before `wait`, so that their delays do not add up."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._mine = asyncio.Event()
        line.append(self._mine)
        line[0].set()

    async def wait(self) -> None:
        """Returns once everything that arrived earlier has left the line."""
        await self._mine.wait()

    def end(self) -> None:
        """Leaves the line, so that the next one goes; a second time has no effect."""
        if self._mine in self._line:
            self._line.remove(self._mine)
        if self._line:
            self._line[0].set()


class Turns:
    """Keeps one line for each key. Unlike a lock it is not held while a request is under way."""

    def __init__(self) -> None:
        self._lines: dict[Hashable, _Line] = {}

    @contextmanager
    def take_turn(self, key: Hashable) -> Iterator[Turn]:
        """Stands in line for the length of a block."""
        line = self._lines.setdefault(key, deque())
        turn = Turn(line)
        try:
            yield turn
        finally:
            turn.end()
            # Another line may have begun under this key since this one was empty.
            if not line and self._lines.get(key) is line:
                del self._lines[key]
