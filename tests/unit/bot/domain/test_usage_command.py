"""The words after `/agent usage`."""

import pytest

from bot.domain.commands import parse
from bot.domain.usage_command import ShowUsage, UsageForm, UsageOf
from bot.errors import InvalidCommand


@pytest.mark.parametrize(
    ("words", "wish"),
    [
        ("", ShowUsage()),
        ("channel", ShowUsage(UsageOf.CHANNEL)),
        ("ALL 7 Days csv", ShowUsage(UsageOf.ALL, 7, UsageForm.CSV)),
        ("chart 1d me", ShowUsage(UsageOf.ME, 1, UsageForm.CHART)),
        ("366", ShowUsage(days=366)),
    ],
)
def test_words_come_in_any_order(words: str, wish: ShowUsage) -> None:
    assert parse(f"usage {words}", max_steps=50) == wish


@pytest.mark.parametrize("word", ["0", "367", "-1", "1e9", "99999", "yesterday", "٣", "`x`", "d"])
def test_what_is_no_number_of_days_is_named(word: str) -> None:
    with pytest.raises(InvalidCommand, match="1 to 366"):
        parse(f"usage {word}", max_steps=50)
