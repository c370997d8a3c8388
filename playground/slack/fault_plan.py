"""Faults on demand: a method that fails a number of times, an event lost or sent twice."""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """The kinds of faults. `reset_after` does the work first and then cuts the connection."""

    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    HTML = "html"
    TIMEOUT = "timeout"
    RESET = "reset"
    RESET_AFTER = "reset_after"
    ERROR = "error"


class EventFault(StrEnum):
    LOST = "lost"
    TWICE = "twice"


@dataclass(frozen=True, slots=True)
class Fault:
    """`code` is the error of FaultKind.ERROR; `seconds` the Retry-After or the time to hang."""

    kind: FaultKind
    code: str = "internal_error"
    seconds: float = 1.0


class FaultPlan:
    """Holds the faults that are due, first planned first taken."""

    def __init__(self) -> None:
        self._calls: dict[str, deque[Fault]] = {}
        self._events: dict[str, deque[EventFault]] = {}

    def fail(
        self,
        method: str,
        kind: FaultKind | str,
        times: int = 1,
        *,
        code: str = "internal_error",
        seconds: float = 1.0,
    ) -> None:
        """Let the next `times` calls of `method` fail."""
        fault = Fault(FaultKind(kind), code, seconds)
        self._calls.setdefault(method, deque()).extend([fault] * times)

    def event(self, event_type: str, kind: EventFault | str, times: int = 1) -> None:
        """Lose or double the next `times` events of a type, such as `message`."""
        self._events.setdefault(event_type, deque()).extend([EventFault(kind)] * times)

    def next_call(self, method: str) -> Fault | None:
        queue = self._calls.get(method)
        return queue.popleft() if queue else None

    def next_event(self, event_type: str) -> EventFault | None:
        queue = self._events.get(event_type)
        return queue.popleft() if queue else None

    def clear(self) -> None:
        self._calls.clear()
        self._events.clear()
