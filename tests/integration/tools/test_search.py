from pathlib import Path

import pytest

from bridge.errors import ToolError
from bridge.tools.search import MAX_MATCHES, _read
from bridge.workspace.filesystem import Workspace
from tests.integration.tools.conftest import Call


@pytest.fixture(autouse=True)
def tree(root: Path) -> None:
    (root / "src").mkdir()
    (root / "src/a.py").write_text("one\nneedle = 1\nthree\nNeedle\n")
    (root / "src/b.txt").write_text("needle\n")
    (root / ".hidden").write_text("needle\n")
    (root / ".git").mkdir()
    (root / ".git/config").write_text("needle\n")


async def test_matches_are_grouped_by_file(call: Call) -> None:
    result = await call("search_files", pattern=r"needle\b")
    assert result.text.splitlines() == [
        "3 matches in 3 files",
        ".hidden",
        "  1: needle",
        "src/a.py",
        "  2: needle = 1",
        "src/b.txt",
        "  1: needle",
    ]
    assert result.summary == "3 matches in 3 files"


async def test_case_glob_and_context(call: Call) -> None:
    result = await call(
        "search_files", pattern="NEEDLE", case_sensitive=False, glob="*.py", context_lines=1
    )
    assert result.text.splitlines() == [
        "2 matches in 1 file",
        "src/a.py",
        "  1- one",
        "  2: needle = 1",
        "  3- three",
        "  4: Needle",
    ]


async def test_one_file_or_directory_can_be_searched(call: Call, root: Path) -> None:
    (root / "src/odd[1]*.txt").write_text("needle\n")
    assert (await call("search_files", pattern="needle", path="src")).summary == (
        "3 matches in 3 files"
    )
    for path in ("src/b.txt", "src/odd[1]*.txt", ".hidden"):
        result = await call("search_files", pattern="needle", path=path)
        assert result.text.splitlines()[1:] == [path, "  1: needle"]


async def test_no_match_is_a_result(call: Call) -> None:
    result = await call("search_files", pattern="nothing-like-it")
    assert (result.ok, result.summary) == (True, "no matches")


async def test_a_bad_pattern_is_an_error_with_a_way_out(call: Call) -> None:
    with pytest.raises(ToolError, match="fixed_string"):
        await call("search_files", pattern="f(")
    assert (await call("search_files", pattern="f(", fixed_string=True)).ok


@pytest.mark.parametrize(
    "pattern", ["--pre=./run.sh", "-f/etc/passwd", "--files", "-", "--", "\n", "a\0b"]
)
async def test_a_pattern_is_never_an_option(call: Call, root: Path, pattern: str) -> None:
    (root / "run.sh").write_text("#!/bin/sh\ntouch executed\n")
    (root / "run.sh").chmod(0o755)
    try:
        result = await call("search_files", pattern=pattern)
    except ToolError:
        pass
    else:
        assert "root:" not in result.text
    assert not (root / "executed").exists()


async def test_links_are_not_searched(call: Call, root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("needle secret\n")
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "file").symlink_to(tmp_path / "outside/secret")
    assert "secret" not in (await call("search_files", pattern="needle")).text
    for path in ("link", "file", "../outside", "/etc"):
        with pytest.raises(ToolError):
            await call("search_files", pattern="needle", path=path)


async def test_many_matches_are_cut_and_said_to_be(call: Call, root: Path) -> None:
    (root / "many").write_text("pin\n" * 1_000)
    result = await call("search_files", pattern="pin")
    assert result.summary == f"more than {MAX_MATCHES} matches in at least 1 file"
    assert len(result.text.splitlines()) == MAX_MATCHES + 3


async def test_wide_lines_are_cut(call: Call, root: Path) -> None:
    (root / "wide").write_text("pin" + "x" * 100_000)
    assert len((await call("search_files", pattern="pin")).text) < 1_000


async def test_names_with_line_breaks_do_not_break_the_result(call: Call, root: Path) -> None:
    (root / "odd\nname").write_text("pin\n")
    result = await call("search_files", pattern="pin")
    assert result.text.splitlines()[0] == "1 match in 1 file"


def test_a_link_put_in_place_while_ripgrep_walks_shows_nothing(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("canary\n")
    (root / "swapped").symlink_to(tmp_path / "outside")
    found, _ = _read(b"./swapped/file\x001:canary\n", "", Workspace(root))
    assert found.lines == ["swapped/file", "  1: (the line could not be read)"]
