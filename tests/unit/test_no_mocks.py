"""Fakes are classes of tests/fakes.py or real servers: no file of the project uses a mock."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests", "benchmarks", "bot", "bridge", "playground")
BANNED = ("unittest.mock", "mock", "pytest_mock")
BANNED_FIXTURES = {"mocker", "class_mocker", "module_mocker", "package_mocker", "session_mocker"}


def used_mocks(source: str) -> list[str]:
    """Returns the mock modules and fixtures that a file imports or asks for."""
    names: list[str] = []
    if "mock" not in source:
        return names  # every banned name has the word; most files need no parser
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.arg) and node.arg in BANNED_FIXTURES:
            names.append("pytest_mock." + node.arg)
    return [name for name in names if f"{name}.".startswith(tuple(f"{b}." for b in BANNED))]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_uses_a_mock(folder: str) -> None:
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths
    users = {str(path.relative_to(ROOT)): used_mocks(path.read_text()) for path in paths}
    assert {path: names for path, names in users.items() if names} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import unittest.mock",
        "import unittest.mock as m",
        "from unittest import mock",
        "from unittest.mock import patch",
        "import mock",
        "def test_it(mocker): ...",
    ],
)
def test_each_way_to_a_mock_is_seen(source: str) -> None:
    assert used_mocks(source)


def test_what_only_sounds_like_a_mock_is_allowed() -> None:
    assert not used_mocks("from unittest import TestCase\nimport tests.mockery")
