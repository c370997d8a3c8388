"""The words that people type behind `/agent` or a mention, as values. Pure parsing."""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.domain.agent import RepoRef
from bot.domain.doctor_command import RunDoctor
from bot.domain.help import EXAMPLE
from bot.domain.quoting import code
from bot.domain.settings_command import (
    SetMine,
    SetRule,
    parse_mine,
    parse_rule,
)
from bot.domain.start_command import LONG_DASHES, StartAgent, read_start
from bot.domain.usage_command import ShowUsage, parse_usage
from bot.errors import InvalidCommand
from bridge.protocol import MAX_MODEL_CHARS


@dataclass(frozen=True, slots=True)
class OpenForm:
    """Bare `/agent`, or a task whose repository nobody named: ask for the details in a form."""

    task: str = ""


@dataclass(frozen=True, slots=True)
class ShowHelp:
    """`help`."""


@dataclass(frozen=True, slots=True)
class ListAgents:
    """`list`."""


@dataclass(frozen=True, slots=True)
class ShowStatus:
    """`status [id]`."""

    agent_id: str | None


@dataclass(frozen=True, slots=True)
class StopAgent:
    """`stop [id]`."""

    agent_id: str | None


@dataclass(frozen=True, slots=True)
class ListModels:
    """`models [search]`."""

    search: str


@dataclass(frozen=True, slots=True)
class OpenSecrets:
    """`secrets`: a form, since a secret is never typed into a message."""


Command = (
    StartAgent
    | OpenForm
    | ShowHelp
    | ListAgents
    | ListModels
    | ShowStatus
    | ShowUsage
    | StopAgent
    | OpenSecrets
    | SetRule
    | SetMine
    | RunDoctor
)

_WORDS = ("help", "list", "me", "models", "status", "stop", "secrets", "set", "usage", "doctor")
# How near a word must be to one of those: alone, or at the head of what may well be a task.
_NEAR_ALONE, _NEAR_AT_THE_HEAD = 0.6, 0.8
_ID = re.compile(r"[a-z0-9]{2,12}")


def parse(text: str, *, max_steps: int, default: RepoRef | None = None) -> Command:
    """Read what follows `/agent`. `max_steps` is the most that a task may ask for.

    `default` is the repository of a task that names none. Raises InvalidCommand with a sentence
    for the person.
    """
    words = text.split()
    if not words:
        return OpenForm()
    known = _KNOWN.get(words[0].lower())
    if known is not None:
        return known(words[1:])
    names_one = "/" in words[0] or words[0].startswith(("-", *LONG_DASHES))
    if not names_one and (len(words) == 1 or (default is None and _is_typo(words[0]))):
        raise InvalidCommand(_unknown(words[0]))
    if not names_one and default is None:
        return OpenForm(text.strip())
    return read_start(text, max_steps, default)


_KNOWN: Mapping[str, Callable[[list[str]], Command]] = {
    **dict.fromkeys(("help", "?", "--help", "-h"), lambda _rest: ShowHelp()),
    **dict.fromkeys(("secret", "secrets"), lambda _rest: OpenSecrets()),
    "list": lambda _rest: ListAgents(),
    "models": lambda rest: ListModels(" ".join(rest)[:MAX_MODEL_CHARS]),
    "me": parse_mine,
    "set": parse_rule,
    "status": lambda rest: ShowStatus(_agent_id(rest)),
    "stop": lambda rest: StopAgent(_agent_id(rest)),
    "usage": parse_usage,
    "doctor": lambda _rest: RunDoctor(),
}


def _agent_id(rest: list[str]) -> str | None:
    if not rest:
        return None
    found = rest[0].strip("`").lower()
    if len(rest) > 1 or not _ID.fullmatch(found):
        raise InvalidCommand("That is not an agent's id. `/agent list` shows them.")
    return found


def _is_typo(word: str) -> bool:
    return bool(_near(word, _NEAR_AT_THE_HEAD))


def _near(word: str, cutoff: float) -> str:
    found = difflib.get_close_matches(word.lower(), _WORDS, n=1, cutoff=cutoff)
    return found[0] if found else ""


def _unknown(word: str) -> str:
    unknown = f"Unknown word {code(word, 40)}."
    if near := _near(word, _NEAR_ALONE):
        return f"{unknown} Did you mean `/agent {near}`? `/agent help` shows all."
    return f"{unknown} Name the repository first: `{EXAMPLE}`. `/agent help` shows all."
