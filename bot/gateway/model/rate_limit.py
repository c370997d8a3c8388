"""Limits how often each agent may call the model, in a sliding window of one minute."""

import time
from collections import defaultdict, deque
from collections.abc import Callable

WINDOW_SECONDS = 60.0


class CallRate:
    """Counts calls in memory; a restarted bot counts from zero. `per_minute` 0 is no limit."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._calls: defaultdict[str, deque[float]] = defaultdict(deque)

    def wait_seconds(self, agent_id: str) -> float:
        """Counts a call and returns 0.0, or returns the seconds until the next call is allowed."""
        if not self._per_minute:
            return 0.0
        now = self._clock()
        calls = self._calls[agent_id]
        while calls and now - calls[0] >= WINDOW_SECONDS:
            calls.popleft()
        if len(calls) >= self._per_minute:
            return WINDOW_SECONDS - (now - calls[0])
        calls.append(now)
        return 0.0

    def forget_agent(self, agent_id: str) -> None:
        """Drops the counts of an agent that has ended."""
        self._calls.pop(agent_id, None)
