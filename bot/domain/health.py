"""Describes the finding of a check of the deployment, with the next step."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The severity of a finding. A warning stops nobody from working."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: `state` says what is so, `next_step` what to do; "" when all is well."""

    verdict: Verdict
    state: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Examined:
    """One check by its name, with its finding and how long it took."""

    check: str
    finding: Finding
    seconds: float


def fine(state: str) -> Finding:
    """Returns a finding that needs nothing."""
    return Finding(Verdict.OK, state)


def doubtful(state: str, next_step: str) -> Finding:
    """Returns a finding that somebody should look at."""
    return Finding(Verdict.WARN, state, next_step)


def broken(state: str, next_step: str) -> Finding:
    """Returns a finding that something does not work."""
    return Finding(Verdict.FAIL, state, next_step)


def worst(examined: Sequence[Examined]) -> Verdict:
    """Returns the verdict on the whole."""
    order = list(Verdict)
    return max((check.finding.verdict for check in examined), key=order.index, default=Verdict.OK)


class FindingError(Exception):
    """Ends a check early with its finding."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.state)
        self.finding = finding
