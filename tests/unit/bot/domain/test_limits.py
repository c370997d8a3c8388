import pytest

from bot.domain.limits import AgentLimits, Load, has_room, ordinal, start_refusal

LIMITS = AgentLimits(running=2, per_user=3, per_channel=4, starts_per_hour=2)
NOW = 100_000.0


def test_below_every_limit_a_start_is_let_through() -> None:
    assert start_refusal(LIMITS, Load(2, 3, (NOW - 10,)), NOW) == ""
    assert start_refusal(AgentLimits(), Load(900, 900, (NOW,) * 900), NOW) == ""


@pytest.mark.parametrize(
    ("load", "says"),
    [
        (Load(user=3), "You have 3 agents at work or waiting"),
        (Load(channel=4), "This channel has 4 agents"),
        (Load(starts=(NOW - 3_000, NOW - 10)), "Try again in 10 min"),
        (Load(starts=(NOW - 3_599.5, NOW - 10)), "Try again in 1 min"),
        (Load(starts=(NOW - 3_000, NOW - 1_000, NOW - 10)), "Try again in 44 min"),
    ],
)
def test_over_a_limit_the_sentence_says_which_and_when(load: Load, says: str) -> None:
    assert says in start_refusal(LIMITS, load, NOW)


def test_room_is_what_the_limit_leaves() -> None:
    assert has_room(LIMITS, 1)
    assert not has_room(LIMITS, 2)
    assert has_room(AgentLimits(), 10_000)


def test_positions_as_people_say_them() -> None:
    said = [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 101, 111)]
    assert said == ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "101st", "111th"]
