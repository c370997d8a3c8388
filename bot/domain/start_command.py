"""Reads a start as people type it: repository, options, and the task as it is."""

import re
from dataclasses import dataclass

from bot.domain.agent import NO_REPOSITORY, RepoRef, checked_branch
from bot.domain.budget import checked_budget
from bot.domain.quoting import code
from bot.domain.settings_command import checked_model
from bot.errors import InvalidCommand
from bridge.protocol import MAX_TASK_CHARS

EXAMPLE = "/agent acme/api fix the flaky test in test_orders"

# What is added to it, the thread's earlier messages and the names of files, needs room too.
MAX_FIRST_TASK_CHARS = MAX_TASK_CHARS - 10_000
MAX_TITLE_CHARS = 120
# Phones and word processors turn "--" into a dash; a person means the same by it.
DASHES = re.compile(r"^[\u2014\u2013](?=[A-Za-z])")
_WORD = re.compile(r"(\S*)\s*")
_NONE = "-"
LONG_DASHES = ("\u2013", "\u2014")
_DASHES_ALONE = frozenset({_NONE, *LONG_DASHES})


@dataclass(frozen=True, slots=True)
class StartOption:
    """An option of a start that takes a value, with the few words that a composer shows."""

    name: str
    completion: str


OPTIONS = (
    StartOption("model", "another model for this agent"),
    StartOption("steps", "the most steps of a task"),
    StartOption("budget", "the most dollars of this agent"),
)


@dataclass(frozen=True, slots=True)
class StartAgent:
    """Start an agent. `model`, `max_steps` and `budget_nano` are None where the default applies."""

    repo: RepoRef
    task: str
    branch: str | None = None
    model: str | None = None
    max_steps: int | None = None
    budget_nano: int | None = None


def read_start(text: str, max_steps: int, default: RepoRef | None) -> StartAgent:
    """Reads the start that a text asks for, as in `parse`; raises InvalidCommand."""
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
    """Splits a text into the repository, the options before the task, and the task as typed.

    Without `needs_target` a word that cannot name a repository begins the task.
    """
    text = text.strip()
    target, at = "", 0
    options: dict[str, str] = {}
    while at < len(text):
        word, following = _word_at(text, at)
        plain = DASHES.sub("--", word)
        if plain.startswith("--"):
            name, equals, value = plain[2:].partition("=")
            if name == "no-repo" and not target:
                target, at = _NONE, following
                continue
            if name not in {option.name for option in OPTIONS}:
                raise InvalidCommand(
                    f"Unknown option {code(f'--{name}', 40)}. There are `--model`, `--steps`, "
                    "`--budget` and `--no-repo`."
                )
            if not equals:
                value, following = _word_at(text, following)
            if not value:
                raise InvalidCommand(f"`--{name}` needs a value.")
            options[name] = value
        elif not target and (needs_target or "/" in word or word in _DASHES_ALONE):
            target = word
        else:
            break
        at = following
    return target, options, text[at:]


def _word_at(text: str, at: int) -> tuple[str, int]:
    """Returns the word that begins here ("" at the end), and where the next one begins."""
    match = _WORD.match(text, at)
    if match is None:  # pragma: no cover  (all of it may be empty, so it always matches)
        return "", len(text)
    return match[1], match.end()


def checked_task(task: str, repo: RepoRef) -> str:
    """Returns the task without surrounding space; raises InvalidCommand when empty or too long."""
    task = task.strip()
    if not task:
        where = f"in `{repo}`" if repo.exists else "in an empty workspace"
        raise InvalidCommand(f"What should be done {where}? For example: `{EXAMPLE}`.")
    if len(task) > MAX_FIRST_TASK_CHARS:
        raise InvalidCommand(
            f"The task has {len(task):,} characters; the limit is {MAX_FIRST_TASK_CHARS:,}. "
            "Shorten it, or put the text in a file of the repository and name the file."
        )
    return task


def checked_steps(text: str, max_steps: int) -> int:
    """Returns the number of steps; raises InvalidCommand outside 1…max_steps."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= max_steps:
        raise InvalidCommand(f"`--steps` takes a whole number from 1 to {max_steps}.")
    return int(text)


def title_of(task: str) -> str:
    """Returns the first line of the task, short enough for a heading."""
    line = next((line.strip() for line in task.splitlines() if line.strip()), task.strip())
    return line if len(line) <= MAX_TITLE_CHARS else line[: MAX_TITLE_CHARS - 1].rstrip() + "…"
