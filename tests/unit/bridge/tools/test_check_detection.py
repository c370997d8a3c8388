"""Which commands count as checks, and which of their words are believed."""

import shlex

import pytest

from bridge.protocol import CheckKind
from bridge.tools.check_detection import Counts, counts_in, kind_of


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("pytest -q", "tests"),
        (".venv/bin/pytest tests", "tests"),
        ("python3.12 -m pytest -x", "tests"),
        ("python -m unittest", "tests"),
        ("uv run pytest", "tests"),
        ("uv run python -m pytest", "tests"),
        ("coverage run -m pytest", "tests"),
        ("npx jest --ci", "tests"),
        ("npm test", "tests"),
        ("npm run test:unit", "tests"),
        ("npm run lint", "lint"),
        ("yarn typecheck", "types"),
        ("cargo test --workspace", "tests"),
        ("cargo clippy", "lint"),
        ("cargo fmt --check", "lint"),
        ("go vet ./...", "lint"),
        ("go build ./...", "build"),
        ("make", "build"),
        ("make -j2 test", "tests"),
        ("make check", "checks"),
        ("ruff check .", "lint"),
        ("ruff format --check .", "lint"),
        ("mypy src", "types"),
        ("black --check .", "lint"),
        ("tsc --noEmit", "types"),
    ],
)
def test_a_command_that_checks_is_known(command: str, kind: str) -> None:
    assert kind_of(shlex.split(command)) is CheckKind(kind)


@pytest.mark.parametrize(
    "command",
    [
        "",
        "pytest --version",
        "pytest --collect-only",
        "npm ci",
        "npm install jest",
        "pip install pytest",
        "python test.py",
        "echo pytest",
        "grep -rn pytest .",
        "black .",
        "ruff format .",
        "ruff check --fix .",
        "eslint --fix .",
        "cargo run",
        "go run .",
        "make clean",
        "git diff --check",
        "cat tests/test_a.py",
        "uv run",
        "python -m",
    ],
)
def test_nothing_else_is_called_a_check(command: str) -> None:
    assert kind_of(shlex.split(command)) is None


@pytest.mark.parametrize(
    ("command", "output", "exit_code", "counts"),
    [
        ("pytest -q", "...\n212 passed in 14.02s\n", 0, Counts(212, 0)),
        ("pytest", "== 1 failed, 11 passed, 2 skipped in 3.10s ==\n", 1, Counts(11, 1)),
        ("pytest", "=== 1 passed, 2 errors in 62.00s (0:01:02) ===", 1, Counts(1, 2)),
        ("python -m unittest", "Ran 5 tests in 0.1s\n\nOK\n", 0, Counts(5, 0)),
        (
            "python -m unittest",
            "Ran 5 tests in 0.1s\n\nFAILED (failures=1, errors=1)",
            1,
            Counts(3, 2),
        ),
        (
            "cargo test",
            "test result: ok. 3 passed; 0 failed;\nx\ntest result: ok. 4 passed; 0 failed;\n",
            0,
            Counts(7, 0),
        ),
        ("npx jest", "Tests:       1 failed, 11 passed, 12 total\nTime: 1 s", 1, Counts(11, 1)),
    ],
)
def test_counts_are_read_from_the_words_that_a_program_always_uses(
    command: str, output: str, exit_code: int, counts: Counts
) -> None:
    assert counts_in(shlex.split(command), output, exit_code) == counts


@pytest.mark.parametrize(
    ("command", "output", "exit_code"),
    [
        ("pytest", "no tests ran in 0.01s", 5),
        ("pytest", "212 passed in 1.0s\nand then something else", 0),
        ("pytest", "1 failed in 1.0s", 0),
        ("pytest", "212 passed in 1.0s", 1),
        ("pytest", "212 passed in 1.0s", None),
        ("echo", "212 passed in 1.0s", 0),
        ("make test", "212 passed in 1.0s", 0),
        ("go test ./...", "ok  x 0.1s", 0),
        ("python -m unittest", "Ran 1 test in 0.1s\n\nFAILED (failures=5)\n", 1),
        ("npx jest", "Tests: 1 passed, 1 total\nTests: 9 passed, 9 total", 0),
    ],
)
def test_what_is_not_sure_is_not_counted(command: str, output: str, exit_code: int | None) -> None:
    assert counts_in(shlex.split(command), output, exit_code) is None
