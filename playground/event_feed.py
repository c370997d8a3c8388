"""Records everything that happens in the playground, in order, to read, follow and wait on."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any, TypeVar

T = TypeVar("T")

KEPT_ENTRIES = 20_000


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One fact. `seq` counts from 1 without gaps; `data` is JSON and holds no token."""

    seq: int
    at: float
    kind: str
    data: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class EventFeed:
    """Keeps an append-only log in memory and wakes its followers; the oldest entries fall out."""

    def __init__(self, kept_entries: int = KEPT_ENTRIES) -> None:
        self._entries: deque[FeedEntry] = deque(maxlen=kept_entries)
        self._last_seq = 0
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def last_seq(self) -> int:
        return self._last_seq

    def record(self, kind: str, /, **data: Any) -> FeedEntry:  # noqa: ANN401 - any JSON value
        self._last_seq += 1
        entry = FeedEntry(self._last_seq, time.time(), kind, data)
        self._entries.append(entry)
        self._wake()
        return entry

    def close(self) -> None:
        """End every `follow`; entries stay readable."""
        self._closed = True
        self._wake()

    def entries(self, kind: str | None = None, after: int = 0) -> list[FeedEntry]:
        newest_first = takewhile(lambda entry: entry.seq > after, reversed(self._entries))
        return [e for e in newest_first if kind in (None, e.kind)][::-1]

    @property
    def first_seq(self) -> int:
        """The oldest entry that is still kept; `last_seq + 1` when there is none."""
        return self._entries[0].seq if self._entries else self._last_seq + 1

    def entry(self, seq: int) -> FeedEntry | None:
        """One entry by its number, if it is still kept."""
        entries = self.entries(after=seq - 1)[:1]
        return entries[0] if entries and entries[0].seq == seq else None

    async def follow(self, after: int = 0) -> AsyncIterator[FeedEntry]:
        """Yield the entries after `after`, then new ones as they come, until the feed closes."""
        while True:
            changed = self._changed
            for entry in self.entries(after=after):
                yield entry
                after = entry.seq
            if self._closed:
                return
            if self._last_seq == after:
                await changed.wait()

    async def until(self, check: Callable[[], T | None], timeout_seconds: float = 10.0) -> T:
        """Wait until `check` gives something, looking again at every entry; TimeoutError if not."""
        async with asyncio.timeout(timeout_seconds):
            while True:
                changed = self._changed
                if result := check():
                    return result
                await changed.wait()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
