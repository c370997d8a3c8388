"""Clocks that tests move: by hand, step by step, or when nothing else can happen."""

import asyncio
from collections.abc import Callable


class Clock:
    """The time, which stands still until a test moves it."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now


class ManualClock:
    """Time that only the test moves."""

    def __init__(self) -> None:
        self._now = 1_000.0
        self._moved = asyncio.Event()
        self.waits = 0

    def now(self) -> float:
        return self._now

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        assert seconds is not None
        due = self._now + seconds
        self.waits += 1
        while self._now < due:
            await self._moved.wait()

    async def advance(self, seconds: float) -> None:
        """Move on in steps of a second; whoever waits gets each turn."""
        for _ in range(int(seconds)):
            self._now += 1
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()
            for _ in range(5):
                await asyncio.sleep(0)


class VirtualClock:
    """Time that passes only when nothing else can happen.

    `sleepers` is how many tasks wait on this clock: when all of them do and `idle` says that no
    call is under way, the clock jumps to the earliest of their deadlines.
    """

    def __init__(self, sleepers: int = 1) -> None:
        self.sleepers = sleepers
        self.idle: Callable[[], bool] = lambda: True
        self._now = 1000.0
        self._waiting: dict[asyncio.Event, float] = {}

    def now(self) -> float:
        return self._now

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        due = asyncio.Event()
        self._waiting[due] = self._now + seconds if seconds is not None else float("inf")
        woken = asyncio.create_task(event.wait())
        timed = asyncio.create_task(due.wait())
        try:
            if not event.is_set():
                self._advance()
            await asyncio.wait({woken, timed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.pop(due, None)
            woken.cancel()
            timed.cancel()
            await asyncio.gather(woken, timed, return_exceptions=True)

    async def sleep(self, seconds: float) -> None:
        await self.wait(asyncio.Event(), seconds)

    def leave(self) -> None:
        self.sleepers -= 1
        self._advance()

    def _advance(self) -> None:
        if len(self._waiting) < self.sleepers or not self.idle():
            return
        due = min(self._waiting, key=lambda item: self._waiting[item], default=None)
        if due is not None and self._waiting[due] != float("inf"):
            self._now = max(self._now, self._waiting[due])
            due.set()
