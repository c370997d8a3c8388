"""Waiting in tests until something is so, without sleeping and without asking in a circle."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

# Only a failure waits so long; a busy machine takes its time.
MOST_SECONDS = 20.0


class Changes:
    """Wakes whoever waits for something to become so."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def tell(self) -> None:
        """Something changed."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def until(
        self, check: Callable[[], object], timeout_seconds: float = MOST_SECONDS
    ) -> None:
        """Return once `check` is true; it is asked again after each change."""
        async with asyncio.timeout(timeout_seconds):
            while not check():
                await self._changed.wait()

    async def found(self, look: Callable[[], Awaitable[T | None]]) -> T:
        """What `look` finds, once it finds something; it looks again after each change."""
        async with asyncio.timeout(MOST_SECONDS):
            while True:
                changed = self._changed
                found = await look()
                if found is not None:
                    return found
                await changed.wait()
