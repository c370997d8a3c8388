"""Limits the calls to Slack: budgets by method, channel and message, and its Retry-After.

Slack counts for the whole app, not for one thread, so one RateLimiter serves the process.
"""

import asyncio
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

# Slack's second, and a little for calls that overtake each other on the way.
_BETWEEN_POSTS_SECONDS = 1.05
_BETWEEN_EDITS_SECONDS = 1.0
_LONGEST_HOLD_SECONDS = 3_600.0
# Shorter waits are rounding.
GRAIN_SECONDS = 1e-6
# A tier is "so many a minute"; the burst and the refill of one minute together stay within it.
_BURST = 5
_TIER_3_PER_MINUTE = 50
_TIER_4_PER_MINUTE = 100
_FORGET_ABOVE = 2_000


class Clock(Protocol):
    """Time as the sender sees it, in seconds of a clock that never jumps."""

    def now(self) -> float:
        """Returns the time."""

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Returns when the event is set, or after so many seconds; None waits for the event."""


class MonotonicClock:
    """The real time."""

    def now(self) -> float:
        """Returns the time."""
        return time.monotonic()

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Returns when the event is set, or after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return


class SlackMethod(StrEnum):
    """The Web API methods that the sender budgets; reactions share one budget."""

    POST = "chat.postMessage"
    UPDATE = "chat.update"
    REACT = "reactions"
    UPLOAD = "files.completeUploadExternal"
    REPLIES = "conversations.replies"
    HISTORY = "conversations.history"


@dataclass(frozen=True, slots=True)
class SlackCall:
    """One call that is about to be made for a row."""

    method: SlackMethod
    channel: str
    row_id: str

    @property
    def is_lookup(self) -> bool:
        """Checks whether the call only reads."""
        return self.method in {SlackMethod.REPLIES, SlackMethod.HISTORY}


class _Bucket:
    """Tokens that come back evenly, a few of them at hand at once."""

    def __init__(self, per_minute: int) -> None:
        self._rate = (per_minute - _BURST) / 60
        self._tokens = float(_BURST)
        self._at = 0.0

    def ready_at(self, now: float) -> float:
        self._refill(now)
        missing = 1 - self._tokens
        return now if missing < GRAIN_SECONDS else now + missing / self._rate

    def take(self, now: float) -> None:
        self._refill(now)
        self._tokens -= 1

    def _refill(self, now: float) -> None:
        self._tokens = min(float(_BURST), self._tokens + (now - self._at) * self._rate)
        self._at = now


class RateLimiter:
    """Tells when each call may go. All times are of the clock that the caller reads."""

    def __init__(self) -> None:
        self._buckets = {
            SlackMethod.UPDATE: _Bucket(_TIER_3_PER_MINUTE),
            SlackMethod.REACT: _Bucket(_TIER_3_PER_MINUTE),
            SlackMethod.REPLIES: _Bucket(_TIER_3_PER_MINUTE),
            SlackMethod.HISTORY: _Bucket(_TIER_3_PER_MINUTE),
            SlackMethod.UPLOAD: _Bucket(_TIER_4_PER_MINUTE),
        }
        self._not_before: dict[str, float] = {}
        self._served: dict[str, float] = {}

    def ready_at(self, call: SlackCall, now: float) -> float:
        """Returns the earliest time for this call; not later than `now` when it may go at once."""
        at = max((self._not_before.get(key, now) for key in self._keys(call)), default=now)
        bucket = self._buckets.get(call.method)
        return max(at, bucket.ready_at(now) if bucket else now)

    def count_call(self, call: SlackCall, now: float) -> None:
        """Counts the call; it is made now."""
        if call.method in self._buckets:
            self._buckets[call.method].take(now)
        if call.method in {SlackMethod.POST, SlackMethod.UPLOAD}:
            self._not_before[f"channel {call.channel}"] = now + _BETWEEN_POSTS_SECONDS
        if call.method in {SlackMethod.POST, SlackMethod.UPDATE}:
            self._not_before[f"row {call.row_id}"] = now + _BETWEEN_EDITS_SECONDS
        self._served[call.row_id] = now
        self._forget(now)

    def hold_calls(self, call: SlackCall, seconds: float, now: float) -> None:
        """Holds back calls of a method for so long, as Slack asked; posts only in the channel."""
        until = now + min(max(seconds, 1.0), _LONGEST_HOLD_SECONDS)
        key = self._held_key(call)
        self._not_before[key] = max(until, self._not_before.get(key, until))

    def last_served(self, row_id: str) -> float:
        """Returns the time of the last call for a row; minus infinity when never, or long ago."""
        return self._served.get(row_id, float("-inf"))

    def _keys(self, call: SlackCall) -> tuple[str, ...]:
        keys: tuple[str, ...] = (self._held_key(call),)
        if call.method in {SlackMethod.POST, SlackMethod.UPLOAD}:
            keys = (*keys, f"channel {call.channel}")
        return (*keys, f"row {call.row_id}") if call.method is SlackMethod.UPDATE else keys

    def _held_key(self, call: SlackCall) -> str:
        where = f" {call.channel}" if call.method is SlackMethod.POST else ""
        return f"held {call.method.value}{where}"

    def _forget(self, now: float) -> None:
        if len(self._not_before) > _FORGET_ABOVE:
            self._not_before = {key: at for key, at in self._not_before.items() if at > now}
        if len(self._served) > _FORGET_ABOVE:
            newest = sorted(self._served.items(), key=lambda item: item[1])[_FORGET_ABOVE // 2 :]
            self._served = dict(newest)
