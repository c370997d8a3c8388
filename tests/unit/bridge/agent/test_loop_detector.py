from collections.abc import Callable

import pytest

from bridge.agent.loop_detector import CallDone, LoopDetector

Steps = Callable[[int], list[CallDone]]


def call(arguments: str = "{}", result: str = "out", *, ok: bool = True) -> CallDone:
    return CallDone("run_command", arguments, ok, result)


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
    watch = LoopDetector()
    seen = [(number, watch.step(steps(number))) for number in range(1, 21)]
    hints = [number for number, circle in seen if circle and not circle.is_the_end]
    ends = [number for number, circle in seen if circle and circle.is_the_end]
    assert hints[:1] == ([hint] if hint else [])
    assert ends[:1] == ([end] if end else [])


def test_a_person_who_says_something_starts_the_count_again() -> None:
    watch = LoopDetector()
    watch.step([call()])
    watch.step([call()])
    watch.restart()
    assert watch.step([call()]) is None


def test_text_that_cannot_be_encoded_does_no_harm() -> None:
    LoopDetector().step([call("\ud83d", "\ud83d")])
