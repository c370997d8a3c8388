"""Rate limits: a bucket per method, and one per channel for posting."""

import math
from collections.abc import Callable
from dataclasses import dataclass

# Tier 0 has no limit of its own: posting is limited by channel.
PER_MINUTE = {0: math.inf, 1: 1, 2: 20, 3: 50, 4: 100}
SECONDS_A_MINUTE = 60.0


@dataclass(slots=True)
class Bucket:
    """A token bucket: `capacity` at once, `per_second` afterwards."""

    capacity: float
    per_second: float
    level: float
    at: float

    def take(self, now: float) -> float:
        """Take one; returns 0, or the seconds until one is there (nothing is taken then)."""
        self.level = min(self.capacity, self.level + max(0.0, now - self.at) * self.per_second)
        self.at = now
        if self.level >= 1 - 1e-9:
            self.level -= 1
            return 0.0
        return (1 - self.level) / self.per_second


class RateLimits:
    """Computes how long a call must wait. `enabled` may be switched while the server runs."""

    def __init__(
        self, clock: Callable[[], float], *, enabled: bool = True, post_burst: int = 4
    ) -> None:
        self.enabled = enabled
        self._clock = clock
        self._post_burst = post_burst
        self._buckets: dict[str, Bucket] = {}

    def call(self, method: str, tier: int) -> int:
        """Whole seconds for Retry-After, 0 when the call may go on."""
        if (per_minute := PER_MINUTE[tier]) == math.inf:
            return 0
        return self._take(method, per_minute, per_minute / SECONDS_A_MINUTE)

    def post(self, channel: str) -> int:
        """The same for one post into a channel: one a second, after a short burst."""
        return self._take(f"post:{channel}", self._post_burst, 1.0)

    def _take(self, key: str, capacity: float, per_second: float) -> int:
        if not self.enabled:
            return 0
        now = self._clock()
        bucket = self._buckets.setdefault(key, Bucket(capacity, per_second, capacity, now))
        return math.ceil(bucket.take(now) - 1e-9)
