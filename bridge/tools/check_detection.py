"""Tells which commands check the work, by data, and reads the counts that their output states.

A command outside the data is not recorded as a check: a missed check does less harm than a false
one.
"""

import posixpath
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge.process.command import CommandResult
from bridge.protocol import MAX_COMMAND_CHARS, CheckKind, CheckRun
from bridge.text import clean, printed, shown

_TESTS, _LINT, _TYPES, _BUILD = (
    CheckKind.TESTS,
    CheckKind.LINT,
    CheckKind.TYPES,
    CheckKind.BUILD,
)

# Programs that do nothing but check.
_PROGRAMS: dict[str, CheckKind] = {
    **dict.fromkeys(["pytest", "py.test", "tox", "nox", "jest", "ctest", "unittest"], _TESTS),
    **dict.fromkeys(["flake8", "pylint", "eslint"], _LINT),
    **dict.fromkeys(["mypy", "pyright", "tsc"], _TYPES),
}
# Programs that check when this is their first word.
_FIRST_WORDS: dict[str, dict[str, CheckKind]] = {
    "ruff": {"check": _LINT},
    "cargo": {"test": _TESTS, "nextest": _TESTS, "clippy": _LINT, "check": _BUILD, "build": _BUILD},
    "go": {"test": _TESTS, "vet": _LINT, "build": _BUILD},
    "vitest": {"run": _TESTS},
    "node": {"--test": _TESTS},
    "pre-commit": {"run": _LINT},
    "cmake": {"--build": _BUILD},
    "mvn": {"test": _TESTS, "verify": _TESTS, "package": _BUILD, "compile": _BUILD},
    "gradle": {"test": _TESTS, "check": CheckKind.CHECKS, "build": _BUILD},
}
# Programs that write unless they are told to check only.
_WITH_OPTION: dict[str, tuple[str, ...]] = {
    "ruff format": ("--check", "--diff"),
    "black": ("--check", "--diff"),
    "isort": ("--check", "--check-only", "-c"),
    "prettier": ("--check", "-c", "--list-different", "-l"),
    "rustfmt": ("--check",),
    "cargo fmt": ("--check",),
    "gofmt": ("-l", "-d"),
}
# Programs whose words are names that the project has chosen.
_RUNNERS = frozenset({"make", "npm", "pnpm", "yarn"})
# What these two do by themselves is not a script of the project, but for this one.
_OWN_WORDS, _TEST_WORDS = frozenset({"npm", "pnpm"}), frozenset({"test", "t", "tst"})
_CHOSEN_NAMES = (
    (re.compile(r"(^|[-_:.])tests?($|[-_:.])|^(unit|e2e|integration)$|^t$"), _TESTS),
    (re.compile(r"(^|[-_:.])(lint|format|style)($|[-_:.])"), _LINT),
    (re.compile(r"^(type-?check|types|tsc|mypy)$"), _TYPES),
    (re.compile(r"^(build|compile|all)$"), _BUILD),
    (re.compile(r"^(check|verify|ci|validate)$"), CheckKind.CHECKS),
)
# What stands in front of the program that is meant.
_WRAPPERS = (
    ("uv", "run"), ("poetry", "run"), ("coverage", "run", "-m"), ("python", "-m"), ("npx",),
    ("pnpm", "exec"), ("yarn", "exec"), ("npm", "exec", "--"),
)  # fmt: skip
_ONLY_TELLS = frozenset({"--version", "-V", "--help", "-h", "--collect-only", "--co", "--fixtures"})
_WRITES = frozenset({"--fix", "--write", "-w"})


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts tests that passed and failed; errors count among the failed."""

    passed: int
    failed: int


def check_of(argv: Sequence[str], directory: str, finished: CommandResult) -> CheckRun | None:
    """Returns the check that a command was; None when it is not known to be one."""
    kind = kind_of(argv)
    if kind is None:
        return None
    counts = counts_in(argv, printed(finished.stdout.text), finished.exit_code)
    return CheckRun(
        command=clean(shown(shlex.join(argv)))[:MAX_COMMAND_CHARS],
        working_directory=clean(directory)[:1_000],
        kind=kind,
        exit_code=finished.exit_code,
        duration_seconds=round(finished.duration_seconds, 3),
        passed=counts.passed if counts else None,
        failed=counts.failed if counts else None,
    )


def kind_of(argv: Sequence[str]) -> CheckKind | None:
    """Returns what a command checks; None when it is not known to check anything."""
    words = _meant(argv)
    if not words or _ONLY_TELLS & set(words):
        return None
    program, arguments = words[0], words[1:]
    first = arguments[0] if arguments else ""
    if program in _RUNNERS:
        return _chosen(program, arguments)
    if not _WRITES & set(arguments):
        kind = _PROGRAMS.get(program) or _FIRST_WORDS.get(program, {}).get(first)
        if kind is not None:
            return kind
    for name in (f"{program} {first}", program):
        if any(option in arguments for option in _WITH_OPTION.get(name, ())):
            return _LINT
    return None


def counts_in(argv: Sequence[str], output: str, exit_code: int | None) -> Counts | None:
    """Returns the program's counts of its tests; None where it does not state them in the words it
    always uses, or states something that its exit code denies."""
    words = _meant(argv)
    reader = _READERS.get(words[0]) if words else None
    counts = reader(output) if reader else None
    if counts is None or (exit_code == 0) != (counts.failed == 0):
        return None
    if min(counts.passed, counts.failed) < 0:  # no count of a program that says the truth
        return None
    return counts


def _meant(argv: Sequence[str]) -> list[str]:
    """Returns the command without paths, versions and wrappers in front of its program."""
    words = list(argv)
    while words:
        words[0] = re.sub(r"^(python|pip)[0-9.]+$", r"\1", posixpath.basename(words[0]))
        wrapper = next((w for w in _WRAPPERS if tuple(words[: len(w)]) == w), None)
        if wrapper is None:
            return words
        del words[: len(wrapper)]
    return []


def _chosen(program: str, arguments: list[str]) -> CheckKind | None:
    if program != "make" and arguments[:1] == ["run"]:
        arguments = arguments[1:]
    elif program in _OWN_WORDS:
        return _TESTS if arguments and arguments[0] in _TEST_WORDS else None
    names = [word for word in arguments if not word.startswith("-") and "=" not in word]
    if program == "make" and not names:
        return _BUILD
    # Of a package's script only the first word is the name.
    for name in names if program == "make" else names[:1]:
        for pattern, kind in _CHOSEN_NAMES:
            if pattern.search(name):
                return kind
    return None


_PYTEST = re.compile(r"^(?:=+ )?(\d+ [a-z]+(?:, \d+ [a-z]+)*) in [\d.]+s(?: \([\d:]+\))?(?: =+)?$")
_UNITTEST = re.compile(r"^Ran (\d+) tests? in [\d.]+s$", re.MULTILINE)
_UNITTEST_END = re.compile(r"^(OK|FAILED)(?: \(([a-z =\d,]+)\))?$")
_CARGO = re.compile(r"^test result: (?:ok|FAILED)\. (\d+) passed; (\d+) failed;", re.MULTILINE)
_JEST = re.compile(r"^Tests:\s+(.+), \d+ total$", re.MULTILINE)
_PAIRS = re.compile(r"(\d+) ([a-z]+)")


def _last(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:1_000] if lines else ""


def _pairs(text: str) -> dict[str, int]:
    return {word: int(number[:9]) for number, word in _PAIRS.findall(text)}


def _pytest(output: str) -> Counts | None:
    match = _PYTEST.match(_last(output))
    if match is None:
        return None
    numbers = _pairs(match[1])
    failed = numbers.get("failed", 0) + numbers.get("error", 0) + numbers.get("errors", 0)
    return Counts(numbers.get("passed", 0), failed)


def _unittest(output: str) -> Counts | None:
    ran, end = _UNITTEST.findall(output), _UNITTEST_END.match(_last(output))
    if len(ran) != 1 or end is None:
        return None
    numbers = {name: int(number[:9]) for name, number in re.findall(r"(\w+)=(\d+)", end[2] or "")}
    failed = numbers.get("failures", 0) + numbers.get("errors", 0)
    return Counts(int(ran[0][:9]) - failed - numbers.get("skipped", 0), failed)


def _cargo(output: str) -> Counts | None:
    matches = _CARGO.findall(output)
    if not matches:
        return None
    return Counts(sum(int(p[:9]) for p, _ in matches), sum(int(f[:9]) for _, f in matches))


def _jest(output: str) -> Counts | None:
    matches = _JEST.findall(output)
    if len(matches) != 1:
        return None
    numbers = _pairs(matches[0])
    return Counts(numbers.get("passed", 0), numbers.get("failed", 0))


_READERS: dict[str, Callable[[str], Counts | None]] = {
    "pytest": _pytest,
    "py.test": _pytest,
    "unittest": _unittest,
    "cargo": _cargo,
    "jest": _jest,
}
