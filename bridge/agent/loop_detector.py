"""Notices a model that repeats its calls: a hint comes first, the end of the task later."""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from bridge.errors import BridgeError
from bridge.model.response import ToolCall
from bridge.protocol import ErrorCode
from bridge.tools.base import ToolResult

# After so many steps of the kind in a row a hint is given, and after so many the task ends.
_SAME = (3, 6)
_PAIR = (6, 10)
_FAILED = (5, 12)
# Two runs of one command differ in how long they took, which makes them no other result.
_DURATION = re.compile(r"\d+(?:\.\d+)? ?m?s\b")
_REMEMBERED = max(_SAME[1], _PAIR[1], _FAILED[1])


@dataclass(frozen=True, slots=True)
class RepeatedCalls:
    """Calls that the model repeats. `is_final`: the hint was given, and nothing changed."""

    what: str
    is_final: bool

    def error(self) -> BridgeError:
        """Returns the error that ends the task."""
        return BridgeError(
            ErrorCode.STUCK,
            f"The agent went in circles, {self.what}, and a hint did not help. It was "
            "stopped so that it costs no more. Reply with what it is missing to go on.",
        )


@dataclass(frozen=True, slots=True)
class _Step:
    digest: bytes
    failed: bool


class LoopDetector:
    """Compares the steps of one task with those before them."""

    def __init__(self) -> None:
        self._steps: deque[_Step] = deque(maxlen=_REMEMBERED)

    def restart(self) -> None:
        """Forgets the steps so far: a message of a person makes the same call worth a new try."""
        self._steps.clear()

    def add_step(
        self, calls: Sequence[ToolCall], results: Sequence[ToolResult]
    ) -> RepeatedCalls | None:
        """Adds the calls of one step; returns what they repeat, each time a limit is reached."""
        if not calls:
            return None
        text = repr(
            [
                (call.name, call.arguments, result.ok, result.text)
                for call, result in zip(calls, results, strict=True)
            ]
        )
        text = _DURATION.sub("", text)
        failed = not any(result.ok for result in results)
        digest = sha256(text.encode(errors="surrogatepass")).digest()
        self._steps.append(_Step(digest, failed))
        names = ", ".join(dict.fromkeys(call.name for call in calls))[:200]
        return (
            _judged(self._same(), _SAME, f"the same call ({names}) with the same result")
            or _judged(self._alternating(), _PAIR, "the same two steps in turn")
            or _judged(self._failed(), _FAILED, "steps in which every call failed")
        )

    def _same(self) -> int:
        last = self._steps[-1].digest
        return _run(step.digest == last for step in reversed(self._steps))

    def _alternating(self) -> int:
        steps = list(reversed(self._steps))
        if len(steps) < 2 or steps[0].digest == steps[1].digest:  # noqa: PLR2004  (a pair)
            return 0
        pair = (steps[0].digest, steps[1].digest)
        return _run(step.digest == pair[at % 2] for at, step in enumerate(steps))

    def _failed(self) -> int:
        return _run(step.failed for step in reversed(self._steps))


def _run(matches: Iterable[bool]) -> int:
    count = 0
    for match in matches:
        if not match:
            break
        count += 1
    return count


def _judged(count: int, limits: tuple[int, int], what: str) -> RepeatedCalls | None:
    hint, end = limits
    if count >= end:
        return RepeatedCalls(f"{count} times in a row: {what}", is_final=True)
    return (
        RepeatedCalls(f"{count} times in a row: {what}", is_final=False) if count == hint else None
    )
