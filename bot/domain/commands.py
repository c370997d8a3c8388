"""The words that people type, as values: `/agent …`, a mention, a reply. Pure parsing."""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bot.domain.agent import NO_REPOSITORY, RepoRef, checked_branch
from bot.domain.budget import checked_budget
from bot.domain.doctor_command import RunDoctor
from bot.domain.help_text import EXAMPLE
from bot.domain.settings_command import (
    MAX_MODEL_CHARS,
    SetMine,
    SetRule,
    checked_model,
    parse_mine,
    parse_rule,
)
from bot.domain.usage_command import ShowUsage, parse_usage
from bot.errors import InvalidCommand
from bridge.protocol import ChatMode

MAX_TASK_CHARS = 30_000
MAX_TITLE_CHARS = 120


@dataclass(frozen=True, slots=True)
class StartAgent:
    """Start an agent. `model`, `max_steps` and `budget_nano` are None where the default applies."""

    repo: RepoRef
    task: str
    branch: str | None = None
    model: str | None = None
    max_steps: int | None = None
    budget_nano: int | None = None


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
# Phones and word processors turn "--" into a dash; a person means the same by it.
_DASHES = re.compile(r"^[\u2014\u2013](?=[A-Za-z])")
_NONE = "-"
_LONG_DASHES = ("\u2013", "\u2014")
_DASHES_ALONE = frozenset({_NONE, *_LONG_DASHES})
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
    names_one = "/" in words[0] or words[0].startswith(("-", *_LONG_DASHES))
    if not names_one and (len(words) == 1 or (default is None and _is_typo(words[0]))):
        raise InvalidCommand(_unknown(words[0]))
    if not names_one and default is None:
        return OpenForm(text.strip())
    return _start(text, max_steps, default)


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
    if near := _near(word, _NEAR_ALONE):
        return f"Unknown word `{word[:40]}`. Did you mean `/agent {near}`? `/agent help` shows all."
    return (
        f"Unknown word `{word[:40]}`. Name the repository first: `{EXAMPLE}`. "
        "`/agent help` shows all."
    )


def _start(text: str, max_steps: int, default: RepoRef | None) -> StartAgent:
    target, options, task = _split(text, needs_target=default is None)
    repo, branch = _target(target, default)
    return StartAgent(
        repo=repo,
        task=checked_task(task, repo),
        branch=branch,
        model=checked_model(options["model"]) if "model" in options else None,
        max_steps=checked_steps(options["steps"], max_steps) if "steps" in options else None,
        budget_nano=checked_budget(options["budget"]) if "budget" in options else None,
    )


def _target(target: str, default: RepoRef | None) -> tuple[RepoRef, str | None]:
    if target in _DASHES_ALONE:
        return NO_REPOSITORY, None
    if not target:
        if default is None:
            raise InvalidCommand(f"Name the repository first: `{EXAMPLE}`.")
        return default, None
    repo_text, at, branch = target.partition("@")
    _refuse_addresses(target)
    repo = RepoRef.parse(repo_text)
    if at and not branch:
        raise InvalidCommand("The branch after `@` is missing. Write `owner/name@branch`.")
    return repo, checked_branch(branch) if branch else None


def _refuse_addresses(target: str) -> None:
    if "://" in target or target.startswith("git@") or target.lower().startswith("github.com/"):
        raise InvalidCommand(
            f"Name the repository as `owner/name`, not by an address: `{EXAMPLE}`."
        )


def _split(text: str, *, needs_target: bool) -> tuple[str, dict[str, str], str]:
    """The repository, the options that stand before the task, and the task as it was typed.

    Without `needs_target` a word that cannot name a repository begins the task.
    """
    rest = text.strip()
    target = ""
    options: dict[str, str] = {}
    while rest:
        word, _, after = _take(rest)
        plain = _DASHES.sub("--", word)
        if plain.startswith("--"):
            name, equals, value = plain[2:].partition("=")
            if name == "no-repo" and not target:
                target, rest = _NONE, after
                continue
            if name not in {"model", "steps", "budget"}:
                raise InvalidCommand(
                    f"Unknown option `--{name[:40]}`. There are `--model`, `--steps`, `--budget` "
                    "and `--no-repo`."
                )
            if not equals:
                value, _, after = _take(after)
            if not value:
                raise InvalidCommand(f"`--{name}` needs a value.")
            options[name] = value
        elif not target and (needs_target or "/" in word or word in _DASHES_ALONE):
            target = word
        else:
            break
        rest = after
    return target, options, rest


def _take(text: str) -> tuple[str, str, str]:
    match = re.match(r"(\S*)(\s*)", text)
    if match is None:  # pragma: no cover  (both groups may be empty, so it always matches)
        return "", "", ""
    return match[1], match[2], text[match.end() :]


def checked_task(task: str, repo: RepoRef) -> str:
    """The task without surrounding space; raises InvalidCommand when empty or too long."""
    task = task.strip()
    if not task:
        where = f"in `{repo}`" if repo.exists else "in an empty workspace"
        raise InvalidCommand(f"What should be done {where}? For example: `{EXAMPLE}`.")
    if len(task) > MAX_TASK_CHARS:
        raise InvalidCommand(
            f"The task has {len(task):,} characters; the limit is {MAX_TASK_CHARS:,}. "
            "Shorten it, or put the text in a file of the repository and name the file."
        )
    return task


def checked_steps(text: str, max_steps: int) -> int:
    """The number of steps; raises InvalidCommand outside 1…max_steps."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= max_steps:
        raise InvalidCommand(f"`--steps` takes a whole number from 1 to {max_steps}.")
    return int(text)


_MODEL_WORD = re.compile(r"\s*(?:--model(?:\s+|=)|model:[ \t]*)(\S+)(?:\s+|$)", re.IGNORECASE)


def reply_model(text: str) -> tuple[str | None, str]:
    """The model that a reply asks for by its first word (`model: x`, `--model x`), and the rest.

    Raises InvalidCommand when the name cannot be one.
    """
    plain = text.lstrip()
    found = _MODEL_WORD.match(_DASHES.sub("--", plain))
    if found is None:
        return None, text
    name = checked_model(found[1].strip("`"))
    # Measured from the end: a dash in the place of two hyphens makes the beginning shorter.
    rest = len(_DASHES.sub("--", plain)) - found.end()
    return name, plain[len(plain) - rest :].strip() if rest else ""


def reply_mode(text: str) -> tuple[ChatMode, str]:
    """How a reply is meant, and its text without the word that said so."""
    if text[:6].lower() == "queue:":
        return ChatMode.QUEUE, text[6:].strip()
    if text.startswith("!"):
        return ChatMode.INTERRUPT, text[1:].strip()
    return ChatMode.STEER, text.strip()


def is_stop(text: str) -> bool:
    """Whether a reply is nothing but the word `stop`."""
    return text.strip().strip(".!").lower() == "stop"


def is_restart(text: str) -> bool:
    """Whether a reply asks for an agent that has ended to go on."""
    return text.strip().strip('.!"').lower() in {"restart", "go on", "continue"}


def title_of(task: str) -> str:
    """The first line of the task, short enough for a heading."""
    line = next((line.strip() for line in task.splitlines() if line.strip()), task.strip())
    return line if len(line) <= MAX_TITLE_CHARS else line[: MAX_TITLE_CHARS - 1].rstrip() + "…"
