"""The window of a task's steps: all calls on some page, and a page costs no more than itself."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from bot.domain.steps import TaskSteps, ToolStep
from bot.slack.views.details import details_view
from bot.slack.views.modal import ModalLocation, ModalView
from playground.slack.rules import check_blocks
from tests.hostile.growth import growth

PLACE = ModalLocation(ModalView.STEPS, "k3f9ab", "k3f9ab-1")


def steps_of(count: int, arguments: str, result: str) -> TaskSteps:
    return TaskSteps(
        tuple(
            ToolStep(number, f"c{number}", "run", "x", arguments, ok=True, result=result)
            for number in range(count)
        ),
        steps=count,
    )


def pages_of(steps: TaskSteps) -> Iterator[list[dict[str, Any]]]:
    last = details_view(replace(PLACE, page=10_000), steps)["blocks"]
    number = 0
    while True:
        blocks = details_view(replace(PLACE, page=number), steps)["blocks"]
        yield blocks
        if blocks == last:
            return
        number += 1


def test_each_call_is_on_one_page_and_no_page_is_beyond_the_limits() -> None:
    for arguments, result in (("{}", ""), ("{}", "x" * 8_000), ("a\n" * 4_000, "\x1b[0m" * 2_000)):
        pages = list(pages_of(steps_of(24, arguments, result)))
        shown = json.dumps(pages)
        for number in range(1, 25):
            assert shown.count(f"*{number}.* ") == 1
        for page in pages:
            check_blocks(page, view=True)


def test_a_page_that_is_too_long_when_all_is_made_visible_says_so() -> None:
    # Three lines that need a block each, though they are short as they came.
    pages = list(pages_of(steps_of(40, "{}", "x\n" + "\u202e" * 483 + "\ny")))
    for page in pages:
        check_blocks(page, view=True)
    assert all("the rest of it is left out" in json.dumps(page) for page in pages)


def test_the_cost_of_a_page_does_not_grow_with_the_other_pages() -> None:
    def draw(steps: TaskSteps) -> object:
        return details_view(PLACE, steps)

    def steps(count: int) -> TaskSteps:
        return steps_of(count, "\u202e" * 2_000, "\x1b" * 2_000)

    assert growth(draw, steps, 10, times=10, enough=3) < 3
