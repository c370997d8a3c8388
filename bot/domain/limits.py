"""Limits how many agents run and are started. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from bot.config import Settings

HOUR_SECONDS = 3_600.0
_MINUTE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """Zero is no limit. What sleeps or has ended does not count."""

    running: int = 0
    per_user: int = 0
    per_channel: int = 0
    starts_per_hour: int = 0

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Returns the limits in these settings."""
        return cls(
            running=settings.max_agents,
            per_user=settings.max_agents_per_user,
            per_channel=settings.max_agents_per_channel,
            starts_per_hour=settings.starts_per_hour_per_user,
        )


@dataclass(frozen=True, slots=True)
class Load:
    """The agents that count, as read in the transaction that decides.

    `user` and `channel` count their agents that run or wait for a place; `starts` are the times
    of the user's starts in the last hour, the oldest first.
    """

    user: int = 0
    channel: int = 0
    starts: Sequence[float] = ()


def start_refusal(limits: AgentLimits, load: Load, now: float) -> str:
    """Says why this person cannot start an agent now, and when they can; "" when they can."""
    if limits.per_user and load.user >= limits.per_user:
        return (
            f"You have {_agents(load.user)} at work or waiting, which is the limit for one person. "
            "Stop one (`/agent list` shows them), or wait until one ends or falls asleep."
        )
    if limits.per_channel and load.channel >= limits.per_channel:
        return (
            f"This channel has {_agents(load.channel)} at work or waiting, which is its limit. "
            "Stop one (`/agent list` shows them), or wait until one ends or falls asleep."
        )
    if limits.starts_per_hour and len(load.starts) >= limits.starts_per_hour:
        frees = load.starts[len(load.starts) - limits.starts_per_hour] + HOUR_SECONDS
        minutes = max(1, math.ceil((frees - now) / _MINUTE_SECONDS))
        return (
            f"You have started {_agents(len(load.starts))} in the last hour, which is the limit. "
            f"Try again in {minutes} min; a reply in the thread of one that is there works at once."
        )
    return ""


def has_room(limits: AgentLimits, placed: int) -> bool:
    """Checks whether one more agent may run."""
    return not limits.running or placed < limits.running


def ordinal(number: int) -> str:
    """Writes a number as `1st`, `2nd`, `11th`."""
    teens = range(11, 14)
    ending = "th" if number % 100 in teens else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _agents(count: int) -> str:
    return "1 agent" if count == 1 else f"{count} agents"
