"""Reads the words that people type behind `/agent` or a mention, by one table of commands."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.agent import RepoRef
from bot.domain.near_names import near_names
from bot.domain.quoting import code
from bot.domain.settings_command import (
    SetMine,
    SetRule,
    parse_mine,
    parse_rule,
)
from bot.domain.start_command import EXAMPLE, LONG_DASHES, StartAgent, read_start
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


@dataclass(frozen=True, slots=True)
class RunDoctor:
    """`doctor`: examine the deployment."""


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

# A word as near as this to a command's word is a typo: alone, or at the head of a possible task.
_NEAR_ALONE, _NEAR_AT_THE_HEAD = 0.6, 0.8
_ID = re.compile(r"[a-z0-9]{2,12}")


class HelpSection(StrEnum):
    """The heading in the help that a command stands under."""

    LOOK = "Look around"
    YOURS = "Yours"
    KEYS_AND_RULES = "Keys and rules"


@dataclass(frozen=True, slots=True)
class CommandWord:
    """A word behind `/agent`. The class that `parse` returns chooses the handler.

    `help` is mrkdwn: lines of their own when they explain something, and a mere `/agent word` on
    one line with the others. `completion` is the few words that a composer shows beside the word.
    """

    word: str
    parse: Callable[[list[str]], Command]
    section: HelpSection
    help: str
    completion: str
    aliases: tuple[str, ...] = ()


def _agent_id(words: list[str]) -> str | None:
    if not words:
        return None
    agent_id = words[0].strip("`").lower()
    if len(words) > 1 or not _ID.fullmatch(agent_id):
        raise InvalidCommand("That is not an agent's id. `/agent list` shows them.")
    return agent_id


COMMANDS = (
    CommandWord(
        "list",
        lambda _: ListAgents(),
        HelpSection.LOOK,
        "`/agent list`",
        "the agents of this channel",
    ),
    CommandWord(
        "status",
        lambda words: ShowStatus(_agent_id(words)),
        HelpSection.LOOK,
        "`/agent status [id]`",
        "one agent, or all of them",
    ),
    CommandWord(
        "stop",
        lambda words: StopAgent(_agent_id(words)),
        HelpSection.LOOK,
        "`/agent stop id`",
        "stop an agent by its id",
    ),
    CommandWord(
        "models",
        lambda words: ListModels(" ".join(words)[:MAX_MODEL_CHARS]),
        HelpSection.LOOK,
        "`/agent models [search]` shows the models with price and context",
        "the models that can be used",
    ),
    CommandWord(
        "usage",
        parse_usage,
        HelpSection.LOOK,
        "`/agent usage [me|channel|all] [days] [chart|csv]` shows what model calls cost",
        "what model calls cost",
    ),
    CommandWord(
        "me",
        parse_mine,
        HelpSection.YOURS,
        "`/agent me` shows your repository and model; `/agent me repo owner/name` and "
        "`/agent me model NAME` set them.",
        "your own repository and model",
    ),
    CommandWord(
        "secrets",
        lambda _: OpenSecrets(),
        HelpSection.KEYS_AND_RULES,
        "`/agent secrets` stores your model key, Git tokens and variables, in a form.",
        "your own keys and tokens, in a form",
        aliases=("secret",),
    ),
    CommandWord(
        "set",
        parse_rule,
        HelpSection.KEYS_AND_RULES,
        "`/agent set` shows what applies here; admins change it: `/agent set stop owner`, "
        "`/agent set repo owner/name`, `/agent set model NAME`, `/agent set verbosity quiet`.",
        "who may do what in this channel",
    ),
    CommandWord(
        "doctor",
        lambda _: RunDoctor(),
        HelpSection.KEYS_AND_RULES,
        "`/agent doctor` tells admins what of Threadsmith works, and what to do about the rest.",
        "what of the deployment works, for admins",
    ),
    CommandWord(
        "help",
        lambda _: ShowHelp(),
        HelpSection.LOOK,
        "`/agent help`",
        "everything it understands",
        aliases=("?", "--help", "-h"),
    ),
)
_BY_WORD = {word: row for row in COMMANDS for word in (row.word, *row.aliases)}


def parse(text: str, *, max_steps: int, default: RepoRef | None = None) -> Command:
    """Reads the text behind `/agent`. `max_steps` is the most that a task may ask for.

    `default` is the repository of a task that names none. Raises InvalidCommand with a sentence
    for the person.
    """
    words = text.split()
    if not words:
        return OpenForm()
    row = _BY_WORD.get(words[0].lower())
    if row is not None:
        return row.parse(words[1:])
    names_target = "/" in words[0] or words[0].startswith(("-", *LONG_DASHES))
    if not names_target and (len(words) == 1 or (default is None and _is_typo(words[0]))):
        raise InvalidCommand(_unknown(words[0]))
    if not names_target and default is None:
        return OpenForm(text.strip())
    return read_start(text, max_steps, default)


def _is_typo(word: str) -> bool:
    return bool(_nearest_word(word, _NEAR_AT_THE_HEAD))


def _nearest_word(word: str, cutoff: float) -> str:
    return next(iter(near_names(word.lower(), (row.word for row in COMMANDS), cutoff)), "")


def _unknown(word: str) -> str:
    unknown = f"Unknown word {code(word, 40)}."
    if nearest := _nearest_word(word, _NEAR_ALONE):
        return f"{unknown} Did you mean `/agent {nearest}`? `/agent help` shows all."
    return f"{unknown} Name the repository first: `{EXAMPLE}`. `/agent help` shows all."
