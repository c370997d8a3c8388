"""Lists the programs that run_command runs: a guard against accidents, not a boundary.

An allowed program may run any code of the repository, and is meant to. What the data keeps out is
what a task never needs: other programs, pushes, logins, publishing, commands hidden in options.
"""

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import ToolError

_VENV_DIRECTORIES = (".venv/bin", "venv/bin", "node_modules/.bin")


@dataclass(frozen=True, slots=True)
class ProgramRule:
    """Restricts the arguments of one program.

    `refused` are options, long ones also in their abbreviations and with a value. `only` and
    `never` are about the first argument. `inside`: no argument may name a path outside the
    workspace. `first` is put before the arguments.
    """

    refused: frozenset[str] = frozenset()
    only: frozenset[str] | None = None
    never: frozenset[str] = frozenset()
    inside: bool = False
    first: tuple[str, ...] = ()


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ANY = ProgramRule()
_INSIDE = ProgramRule(inside=True)
_GIT = ProgramRule(
    refused=_words(
        "--exec --ext-diff --textconv --output --upload-pack --receive-pack --open-files-in-pager"
        " --git-dir --work-tree --exec-path --config-env --paginate --no-index --template"
    ),
    only=_words(
        "status diff log show add commit restore checkout switch branch merge rebase stash reset"
        " rm mv blame grep ls-files ls-tree rev-parse rev-list merge-base cherry-pick revert tag"
        " describe shortlog apply cat-file name-rev check-ignore diff-tree --version version"
    ),
)
_NODE_PACKAGES = ProgramRule(
    never=_words("publish unpublish login logout adduser token owner access team deprecate star")
)
PROGRAMS: dict[str, ProgramRule] = {
    **dict.fromkeys(_words("python pytest tox nox ruff mypy pyright black isort flake8"), _ANY),
    **dict.fromkeys(_words("coverage pre-commit node tsc eslint prettier jest vitest"), _ANY),
    **dict.fromkeys(_words("go gofmt rustc rustfmt javac java mvn gradle make cmake"), _ANY),
    **dict.fromkeys(_words("echo pwd true false date uname which seq printf basename"), _ANY),
    **dict.fromkeys(_words("ls cat head tail wc grep diff cmp stat file tree du sort"), _INSIDE),
    **dict.fromkeys(_words("uniq cut mkdir touch cp mv rm rmdir chmod sha256sum"), _INSIDE),
    "git": _GIT,
    "pip": ProgramRule(never=_words("config")),
    "uv": ProgramRule(never=_words("publish auth self")),
    "poetry": ProgramRule(never=_words("publish config self")),
    "cargo": ProgramRule(never=_words("publish login logout owner yank")),
    **dict.fromkeys(_words("npm pnpm yarn npx"), _NODE_PACKAGES),
    "rg": ProgramRule(refused=_words("--pre --hostname-bin --search-zip -z"), inside=True),
    "sed": ProgramRule(first=("--sandbox",), inside=True),
    "find": ProgramRule(
        refused=_words("-exec -execdir -ok -okdir -delete -fprint -fprint0 -fprintf -fls"),
        inside=True,
    ),
}


def checked(argv: Sequence[str], allow: frozenset[str], root: Path) -> list[str]:
    """Returns the command to run; raises ToolError saying what to do instead.

    `allow` names further programs, as they are written in a command, that may run as they like.
    """
    if not argv or not argv[0]:
        raise ToolError("The command is empty.")
    program, *arguments = argv
    if program in allow:
        return list(argv)
    rule = PROGRAMS.get(_plain_name(program, root))
    if rule is None:
        raise ToolError(_not_allowed(program, allow))
    _check_arguments(program, rule, arguments, root)
    return [program, *rule.first, *arguments]


def _plain_name(program: str, root: Path) -> str:
    """Reads `python3.12` and `.venv/bin/python` as python; another path is no program's name."""
    directory, _, name = program.removeprefix(f"{root}/").rpartition("/")
    if directory and posixpath.normpath(directory) not in _VENV_DIRECTORIES:
        return ""
    return re.sub(r"^(python|pip)[0-9.]+$", r"\1", name)


def _not_allowed(program: str, allow: frozenset[str]) -> str:
    hint = {
        "bash": "Run the program itself, without a shell.",
        "sh": "Run the program itself, without a shell.",
        "cd": "Give working_directory instead.",
        "curl": "There is no web access from commands.",
        "wget": "There is no web access from commands.",
        "xargs": "Name the files in the command, or write a small Python script.",
    }.get(program, "")
    if "=" in program:
        hint = "Variables cannot be set in front of a command; set them in a Python script."
    elif "/" in program:
        hint = "Programs are named without a path; run a script by its interpreter (python x.py)."
    names = ", ".join(sorted({*PROGRAMS, *allow}))
    return f"{program[:100]} is not allowed. {hint}\nAllowed: {names}.".replace(". \n", ".\n")


def _check_arguments(program: str, rule: ProgramRule, arguments: list[str], root: Path) -> None:
    first = arguments[0] if arguments else ""
    if rule.only is not None and first and first not in rule.only:
        raise ToolError(
            f"{program} {first[:100]} is not allowed. Right after {program} comes one of: "
            f"{', '.join(sorted(rule.only))}."
        )
    if first in rule.never:
        raise ToolError(f"{program} {first} is not allowed.")
    for argument in arguments:
        if argument == "--":
            break
        if _is_refused(argument, rule.refused):
            raise ToolError(f"{program} is not allowed with {argument[:100]}.")
    for argument in arguments if rule.inside else ():
        if _leads_outside(argument, root):
            raise ToolError(
                f"{argument[:200]} lies outside the workspace. Use paths relative to it."
            )


def _is_refused(argument: str, refused: frozenset[str]) -> bool:
    name = argument.partition("=")[0]
    if name in refused:
        return True
    # Programs take a long option by any beginning of it that fits no other.
    shortest = 4
    return (
        name.startswith("--")
        and len(name) > shortest
        and any(option.startswith(name) and option.startswith("--") for option in refused)
    )


def _leads_outside(argument: str, root: Path) -> bool:
    value = argument.partition("=")[2] if argument.startswith("-") else argument
    if value.startswith("/"):
        normal = posixpath.normpath(value)
        return normal != str(root) and not normal.startswith(f"{root}/")
    return value.startswith("~") or ".." in value.split("/")
