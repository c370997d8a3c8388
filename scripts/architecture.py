"""Draws the layers and the rooms in docs/architecture.md from the import contracts and docstrings.

usage: python scripts/architecture.py [--check]. The contracts in pyproject.toml say which room may
import which; the docstring of each package says what it owns. With --check nothing is written, and
the exit status is 1 when the page differs.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = ("bot", "bridge", "playground")


def main() -> int:
    """Write the generated parts of the page, or compare them."""
    before = PAGE.read_text()
    after = with_part(before, "layers", drawing(contracts()))
    after = with_part(after, "rooms", table())
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(after)
    elif before != after:
        sys.stderr.write("docs/architecture.md differs from the contracts: run make architecture\n")
        return 1
    return 0


def contracts() -> dict[str, list[str]]:
    """The rows of each package that has a layers contract, from the outermost room inwards."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        settings = tomllib.load(file)
    return {
        container: contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
        for container in contract["containers"]
    }


def drawing(layers: dict[str, list[str]]) -> str:
    """Each package's rows, with the rows of its inner packages below their own."""
    lines = ["```"]
    for package in PACKAGES:
        if package in layers:
            lines += [f"{package}/", *rows(package, layers, indent="  ")]
    return "\n".join([*lines, "```"])


def rows(package: str, layers: dict[str, list[str]], indent: str) -> Iterator[str]:
    """The rows of one package; a row is a set of rooms that do not import each other."""
    for row in layers[package]:
        yield indent + row
        rooms = re.split(r"\s*[|:]\s*", row)
        for room in rooms:
            if (inner := f"{package}.{room}") in layers:
                below = indent + "    "
                if len(rooms) > 1:
                    yield f"{below}{room}/"
                    below += "    "
                yield from rows(inner, layers, below)


def table() -> str:
    """What each package owns: the first paragraph of its docstring."""
    lines = ["| Room | What it owns |", "|---|---|"]
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("__init__.py")):
            docstring = ast.get_docstring(ast.parse(file.read_text()))
            if docstring and file.parent != ROOT / package:
                paragraph = " ".join(docstring.split())
                lines.append(f"| `{file.parent.relative_to(ROOT)}/` | {paragraph} |")
    return "\n".join(lines)


def with_part(page: str, name: str, text: str) -> str:
    """The page with this part between its two marks; raises ValueError when a mark is missing."""
    begin, end = f"<!-- {name}: written by make architecture -->", f"<!-- end of {name} -->"
    head, begin_mark, rest = page.partition(begin)
    _, end_mark, tail = rest.partition(end)
    if not begin_mark or not end_mark:
        raise ValueError(f"docs/architecture.md has no part {name!r}")
    return f"{head}{begin}\n{text}\n{end}{tail}"


if __name__ == "__main__":
    sys.exit(main())
