from collections.abc import Callable

import pytest

from bridge.agent.loop_detector import LoopDetector, RepeatedCalls
from bridge.model.response import ToolCall
from bridge.tools.base import ToolResult

Calls = list[tuple[ToolCall, ToolResult]]
Steps = Callable[[int], Calls]


def call(
    arguments: str = "{}", result: str = "out", *, ok: bool = True
) -> tuple[ToolCall, ToolResult]:
    return ToolCall("c", "run_command", arguments), ToolResult(result, "", ok)


def add(detector: LoopDetector, calls: Calls) -> RepeatedCalls | None:
    return detector.add_step([c for c, _ in calls], [result for _, result in calls])


CIRCLES: dict[str, tuple[Steps, int | None, int | None]] = {
    # what a step holds by its number; the step of the hint; the step of the end
    "the same call with the same result": (lambda _: [call()], 3, 6),
    "only the duration differs": (lambda n: [call(result=f"Exit code 0 after {n}.5 s.")], 3, 6),
    "two in turn": (lambda n: [call(str(n % 2))], 6, 10),
    "errors, each another one": (lambda n: [call(str(n), ok=False)], 5, 12),
    "parallel calls, all failing": (
        lambda n: [call(str(n), ok=False), call(f"b{n}", ok=False)],
        5,
        12,
    ),
    "one of two succeeds": (lambda n: [call(str(n), ok=False), call(f"b{n}")], None, None),
    "progress": (lambda n: [call(str(n))], None, None),
    "the same call with other results": (lambda n: [call(result=f"line {n}")], None, None),
    "three in turn": (lambda n: [call(str(n % 3))], None, None),
    "no calls": (lambda _: [], None, None),
}


@pytest.mark.parametrize(("steps", "hint", "end"), CIRCLES.values(), ids=CIRCLES)
def test_a_circle_gets_one_hint_and_then_an_end(
    steps: Steps, hint: int | None, end: int | None
) -> None:
    detector = LoopDetector()
    seen = [(number, add(detector, steps(number))) for number in range(1, 21)]
    hints = [number for number, circle in seen if circle and not circle.is_final]
    ends = [number for number, circle in seen if circle and circle.is_final]
    assert hints[:1] == ([hint] if hint else [])
    assert ends[:1] == ([end] if end else [])


def test_a_person_who_says_something_starts_the_count_again() -> None:
    detector = LoopDetector()
    add(detector, [call()])
    add(detector, [call()])
    detector.restart()
    assert add(detector, [call()]) is None


def test_text_that_cannot_be_encoded_does_no_harm() -> None:
    assert add(LoopDetector(), [call("\ud83d", "\ud83d")]) is None
