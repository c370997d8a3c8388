"""What a check of the deployment has found, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is. A warning stops nobody from working."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """`found` says what is so, `next_step` exactly what to do; of what is fine it is empty."""

    verdict: Verdict
    found: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Examined:
    """One check by its name, with what it found and how long it took."""

    check: str
    finding: Finding
    seconds: float


def fine(found: str) -> Finding:
    """Nothing to do."""
    return Finding(Verdict.OK, found)


def doubtful(found: str, next_step: str) -> Finding:
    """It works, or nobody knows; somebody should look."""
    return Finding(Verdict.WARN, found, next_step)


def broken(found: str, next_step: str) -> Finding:
    """It does not work."""
    return Finding(Verdict.FAIL, found, next_step)


def worst(examined: Sequence[Examined]) -> Verdict:
    """The verdict on the whole."""
    order = list(Verdict)
    return max((one.finding.verdict for one in examined), key=order.index, default=Verdict.OK)


class FindingError(Exception):
    """A check that has found the answer on its way."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.found)
        self.finding = finding
