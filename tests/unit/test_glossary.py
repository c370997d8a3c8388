"""docs/glossary.md against the code: each word has its place, and no name means two things."""

import ast
import importlib
import importlib.util
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "glossary.md").read_text()
PACKAGES = ("bot", "bridge", "playground")
# Python and alembic find these by their names.
FIXED_MODULES = {"__init__", "__main__", "env"}


def modules() -> Iterator[Path]:
    """The product's modules; a migration is named by its number."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "versions" not in path.parts:
                yield path


def rows_below(head: str) -> list[list[str]]:
    """The cells of the table whose first row begins with these words, without ` and *."""
    lines = iter(PAGE.splitlines())
    for line in lines:
        if line.startswith(f"| {head} |"):
            next(lines)
            break
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.replace("`", "").strip(" *") for cell in line.strip("|").split("|")])
    assert rows, f"there is no table {head!r}"
    return rows


def parts_of(name: str) -> set[str]:
    """The words of an identifier: `open_TCPListener` gives open, tcp, listener."""
    return {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)}


def words_below(head: str) -> set[str]:
    """The words in the first column of that table; a cell may hold several."""
    return {word for cell, _now in rows_below(head) for word in cell.split(", ")}


@cache
def names() -> dict[str, str]:
    """Every name in the product's code, with a place where it stands."""
    places: dict[str, str] = {}
    for path in modules():
        place = path.relative_to(ROOT)
        for name in place.with_suffix("").parts:
            places.setdefault(name, str(place))
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            if token.type == tokenize.NAME:
                places.setdefault(token.string, f"{place}:{token.start[0]}")
    return places


def repeated(names_by_module: Iterator[tuple[str, Path]]) -> dict[str, list[str]]:
    homes = defaultdict(list)
    for name, path in names_by_module:
        homes[name].append(str(path.relative_to(ROOT)))
    return {name: paths for name, paths in homes.items() if len(paths) > 1}


@pytest.mark.parametrize(("word", "home"), [(word, home) for word, _, home in rows_below("Word")])
def test_a_word_is_a_module_or_a_class(word: str, home: str) -> None:
    module, _, leaf = home.rpartition(".")
    if leaf[:1].isupper():
        assert isinstance(getattr(importlib.import_module(module), leaf), type)
    else:
        assert importlib.util.find_spec(home)
    noun = word.rsplit(maxsplit=1)[-1]
    assert parts_of(leaf or home) & {noun, f"{noun}s"}


def test_no_class_name_means_two_things() -> None:
    classes = (
        (node.name, path)
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert repeated(classes) == {}


def test_a_module_name_that_repeats_has_one_meaning_written_down() -> None:
    homes = repeated((path.stem, path) for path in modules() if path.stem not in FIXED_MODULES)
    assert sorted(homes) == sorted(name for name, _meaning in rows_below("Module"))


def test_no_name_holds_a_retired_word() -> None:
    parts, whole = (
        words_below("Retired as a part of a name"),
        words_below("Retired as a whole name"),
    )
    held = {
        name: place
        for name, place in names().items()
        if name.strip("_").lower() in whole
        or (parts & parts_of(name) and not {"not", "found"} <= parts_of(name))
    }
    assert held == {}
