"""Reads `/agent usage …`: whose model calls, of how many days, and in which form."""

from dataclasses import dataclass
from enum import StrEnum

from bot.domain.quoting import code
from bot.errors import InvalidCommand

MAX_DAYS = 366
DEFAULT_DAYS = 30
_MAX_DIGITS = 4


class UsageOf(StrEnum):
    """The calls that are added up: those of who asks, of the channel, or all."""

    ME = "me"
    CHANNEL = "channel"
    ALL = "all"


class UsageForm(StrEnum):
    """The form of the sums: a private message, a picture, a table with a line for each call."""

    TEXT = "text"
    CHART = "chart"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class ShowUsage:
    """`usage [me|channel|all] [DAYS] [chart|csv]`; `days` counts today."""

    of: UsageOf = UsageOf.ME
    days: int = DEFAULT_DAYS
    form: UsageForm = UsageForm.TEXT


def parse_usage(words: list[str]) -> ShowUsage:
    """Reads the words after `usage`, in any order; raises InvalidCommand."""
    of, form, days = UsageOf.ME, UsageForm.TEXT, DEFAULT_DAYS
    for word in (word.lower() for word in words):
        if word in set(UsageOf):
            of = UsageOf(word)
        elif word in set(UsageForm):
            form = UsageForm(word)
        elif word not in {"day", "days"}:
            days = _days(word)
    return ShowUsage(of, days, form)


def _days(word: str) -> int:
    digits = word.removesuffix("d")
    known = digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS
    if not known or not 1 <= int(digits) <= MAX_DAYS:
        raise InvalidCommand(
            f"{code(word, 40)} is not known here. Write `/agent usage`, then `me`, `channel` or "
            f"`all`, a number of days from 1 to {MAX_DAYS}, and `chart` or `csv`: "
            "`/agent usage channel 7 chart`."
        )
    return int(digits)
