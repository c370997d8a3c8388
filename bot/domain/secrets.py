"""Stored secrets as data: what they are for, where they apply, and which names are allowed."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pydantic import SecretStr

from bot.domain.agent import SecretScope
from bot.errors import InvalidCommand
from bridge.container import is_reserved_variable

MAX_VALUE_CHARS = 3_000
MAX_VARIABLES_OF_A_PLACE = 64

_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")


class SecretKind(StrEnum):
    """The use of a stored value."""

    MODEL_KEY = "model_key"
    GIT_TOKEN = "git_token"  # noqa: S105  (the name of a kind)
    VARIABLE = "variable"


KINDS_OF_SCOPE: dict[SecretScope, frozenset[SecretKind]] = {
    SecretScope.DEPLOYMENT: frozenset({SecretKind.MODEL_KEY, SecretKind.VARIABLE}),
    SecretScope.REPOSITORY: frozenset({SecretKind.GIT_TOKEN, SecretKind.VARIABLE}),
    SecretScope.CHANNEL: frozenset({SecretKind.MODEL_KEY, SecretKind.VARIABLE}),
    SecretScope.USER: frozenset({SecretKind.MODEL_KEY, SecretKind.VARIABLE}),
}


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Which secret. `owner` is a user, a channel or an `owner/name`, "" for the deployment; in
    Slack's workspace `team`. `name` is a variable's name, "" for the other kinds."""

    team: str
    scope: SecretScope
    owner: str
    kind: SecretKind
    name: str = ""

    def __str__(self) -> str:
        parts = (self.team, self.scope.value, self.owner, self.kind.value, self.name)
        return " ".join(part or "-" for part in parts)


@dataclass(frozen=True, slots=True)
class ModelKey:
    """A key for model calls, and where it is stored: whoever put it there pays."""

    value: SecretStr
    scope: SecretScope


@dataclass(frozen=True, slots=True)
class SecretEntry:
    """The public part of a secret. `exposed`: a variable that tools in the container get."""

    ref: SecretRef
    exposed: bool
    created_by: str
    at: float


def checked_variable(text: str) -> str:
    """Returns the name of a variable; raises InvalidCommand when it cannot or must not be one."""
    name = text.strip()
    if not _NAME.fullmatch(name):
        raise InvalidCommand(
            "A variable's name is made of A-Z, 0-9 and _, at most 64 characters, and does not "
            "begin with a digit. For example NPM_TOKEN."
        )
    if is_reserved_variable(name):
        raise InvalidCommand(
            f"{name} is reserved: the sandbox sets it, or it decides which programs run. Choose "
            "another name."
        )
    return name


def checked_value(text: str) -> str:
    """Returns the value without a line break at its end; raises InvalidCommand."""
    value = text.strip()
    if not value:
        raise InvalidCommand("The value is empty.")
    if "\0" in value or len(value) > MAX_VALUE_CHARS:
        raise InvalidCommand(f"The value is longer than {MAX_VALUE_CHARS:,} characters.")
    return value


def narrowest(entries: Iterable[tuple[SecretEntry, str]]) -> dict[str, str]:
    """Returns the values by name, where each name comes from the narrowest scope that has it."""
    order = list(SecretScope)
    ordered = sorted(entries, key=lambda pair: order.index(pair[0].ref.scope))
    return {entry.ref.name: value for entry, value in ordered}
