"""Keeps the bot's background loops going: one that fails is logged and started again, alone."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass

from bot.agents.lifecycle.supervisor import Supervisor
from bot.domain.health import Finding, broken, fine

logger = logging.getLogger(__name__)

Loop = Callable[[], Coroutine[None, None, None]]

FIRST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 60.0
# Longer than any loop takes for one round but the hourly one, whose first round comes at once.
RAN_WELL_SECONDS = 600.0
# With the waits between them, about four minutes of failing.
REPORTED_FAILURES = 10


@dataclass(frozen=True, slots=True)
class FailingLoop:
    """A loop that does not get going again; `error` is the kind of its last failure."""

    name: str
    failures: int
    error: str


@dataclass(slots=True)
class _Record:
    """Counts the failures of one loop; `began` is None while it waits for its next start."""

    failures: int = 0
    error: str = ""
    began: float | None = None


class LoopSupervisor:
    """Runs each loop under its name until it returns or is cancelled; no failure ends another."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._now = now
        self._wait = wait
        self._records: dict[str, _Record] = {}
        self._supervisor = Supervisor(_ignore, kind="loop")

    def start(self, name: str, loop: Loop) -> None:
        """Runs `loop` from now on, and calls it again whenever it fails."""
        record = self._records[name] = _Record()
        self._supervisor.spawn(name, self._keep_running(name, loop, record))

    async def cancel(self, *names: str) -> None:
        """Ends these loops (none given: all) at once, and waits until they have ended."""
        await self._supervisor.cancel(*names)

    def failing(self) -> Sequence[FailingLoop]:
        """Returns the loops that failed too often in a row and have not run well since."""
        return [
            FailingLoop(name, record.failures, record.error)
            for name, record in self._records.items()
            if record.failures >= REPORTED_FAILURES and not self._runs_well(record)
        ]

    def _runs_well(self, record: _Record) -> bool:
        return record.began is not None and self._now() - record.began >= RAN_WELL_SECONDS

    async def _keep_running(self, name: str, loop: Loop, record: _Record) -> None:
        while True:
            record.began = self._now()
            try:
                await loop()
            except Exception as error:
                record.failures = 1 if self._runs_well(record) else record.failures + 1
                record.error = type(error).__name__
                seconds = _wait_seconds(record.failures)
                logger.exception(
                    "the background loop %r failed (%d in a row); it starts again in %.0f s",
                    *(name, record.failures, seconds),
                )
            else:  # it has nothing to do with these settings
                record.failures = 0
                return
            record.began = None
            await self._wait(seconds)


def loops_finding(failing: Sequence[FailingLoop] | None) -> Finding:
    """Returns the finding about the loops of a bot; None: there is no bot to ask."""
    if failing is None:
        return fine("no running bot here to ask")
    if not failing:
        return fine("all of them run")
    shown = ", ".join(
        f"{loop.name} ({loop.failures} failures in a row, {loop.error})" for loop in failing
    )
    return broken(
        f"fails again and again: {shown}",
        "Look for `the background loop` in the bot's log, mend the cause or report the traceback; "
        "it starts again by itself.",
    )


async def _ignore(_name: str, _error: Exception) -> None:
    """Does nothing: the failure is logged already."""


def _wait_seconds(failures: int) -> float:
    return min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** min(failures - 1, 10))
