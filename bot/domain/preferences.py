"""Merges the defaults of a channel and of a person, the channel's first. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from bot.domain.agent import RepoRef
from bot.domain.settings_command import checked_model
from bot.domain.verbosity import Verbosity
from bot.errors import InvalidCommand


@dataclass(frozen=True, slots=True)
class Preferences:
    """A repository and a model are None where nothing is set."""

    repo: RepoRef | None = None
    model: str | None = None
    verbosity: Verbosity = Verbosity.NORMAL

    @classmethod
    def of(cls, *stored: Mapping[str, str]) -> Self:
        """Reads stored settings; the first that has a usable value counts.

        Each is a mapping from the name of a setting to its value.
        """
        merged: dict[str, str] = {}
        for settings in reversed(stored):
            merged |= {name: value for name, value in settings.items() if value}
        verbosity = merged.get("verbosity", "")
        return cls(
            _repo(merged.get("repo", "")),
            _model(merged.get("model", "")),
            Verbosity(verbosity) if verbosity in set(Verbosity) else Verbosity.NORMAL,
        )


def _repo(text: str) -> RepoRef | None:
    try:
        return RepoRef.parse(text) if text else None
    except InvalidCommand:
        return None


def _model(text: str) -> str | None:
    try:
        return checked_model(text) if text else None
    except InvalidCommand:
        return None
