"""Names like a word: the ones that somebody meant, at a cost that does not grow with the list."""

from collections.abc import Sequence

import pytest

from bot.domain.near_names import MOST_COMPARED, near_names
from tests.hostile.growth import growth

MANY = [f"feature/{number:05d}-{'abcd' * 40}" for number in range(2 * MOST_COMPARED)]


@pytest.mark.parametrize(
    ("word", "names", "nearest"),
    [
        ("mian", ["main", "develop"], ["main"]),
        ("main", ["Main", "mains", "x"], ["mains", "Main"]),
        ("featrue/login", ["feature/login", "feature/logout", "fix"], ["feature/login"]),
        ("unheard-of", ["main"], []),
        ("x" * 500, ["x" * 499, "main"], ["x" * 499]),
        ("main", [], []),
        ("", ["main"], []),
    ],
)
def test_the_nearest_come_first(word: str, names: list[str], nearest: list[str]) -> None:
    assert near_names(word, names, 0.6)[: len(nearest) or None] == nearest


def test_of_many_names_a_neighbour_is_seen() -> None:
    assert near_names("release/2.4.O", [*MANY, "release/2.4.0"], 0.6) == ["release/2.4.0"]


def test_no_more_names_are_given_than_asked_for() -> None:
    assert len(near_names("abcd", [f"abcd{number}" for number in range(50)], 0.6)) == 3


def test_the_cost_does_not_grow_with_the_list() -> None:
    def nearest(names: Sequence[str]) -> object:
        return near_names("feature/00001-" + "abdc" * 40, names, 0.5)

    def names(count: int) -> Sequence[str]:
        return [f"feature/{number:06d}-{'abcd' * 40}" for number in range(count)]

    assert growth(nearest, names, MOST_COMPARED, times=10, enough=3) < 3


def test_the_cost_does_not_grow_with_the_names_length() -> None:
    def nearest(text: str) -> object:
        return near_names(text, [f"{number}{text}" for number in range(50)], 0.5)

    assert growth(nearest, lambda chars: "ab" * chars, 200, times=10, enough=3) < 3
