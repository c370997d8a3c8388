"""Measures how the work of a function grows with its input, as a ratio of two sizes."""

from collections.abc import Callable
from time import thread_time_ns
from typing import TypeVar

T = TypeVar("T")

TIMES_LARGER = 4
# What is linear takes four times as long, and what is quadratic sixteen times.
TIMES_SLOWER = 8
_ATTEMPTS = 7
# Below this the clock and the caches weigh more than the work.
_MEASURABLE_NS = 200_000


def growth(
    function: Callable[[T], object],
    input_of: Callable[[int], T],
    size: int,
    *,
    times: int = TIMES_LARGER,
    enough: float = TIMES_SLOWER,
) -> float:
    """Returns how many times longer the function takes for an input that is `times` as large.

    It counts this thread's own processor time, so that a busy machine changes little, and takes
    the best of several attempts; the first one that is below `enough` ends them.
    """
    small, large = input_of(size), input_of(size * times)
    least_small = least_large = 0
    ratio = 0.0
    for _ in range(_ATTEMPTS):
        taken = _taken_ns(function, large)
        least_large = min(least_large or taken, taken)
        if least_large <= _MEASURABLE_NS:
            return 1.0
        taken = _taken_ns(function, small)
        least_small = min(least_small or taken, taken)
        ratio = least_large / max(least_small, 1)
        if ratio < enough:
            break
    return ratio


def _taken_ns(function: Callable[[T], object], value: T) -> int:
    start = thread_time_ns()
    function(value)
    return thread_time_ns() - start
