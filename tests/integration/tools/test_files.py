import os
from pathlib import Path

import pytest

from bridge.errors import ToolError
from bridge.tools.files import MAX_ENTRIES, MAX_READ_LINES
from tests.integration.tools.conftest import Call


async def test_lines_are_numbered(call: Call, root: Path) -> None:
    (root / "f").write_text("one\ntwo\n")
    result = await call("read_file", path="f")
    assert result.text == "     1\tone\n     2\ttwo"
    assert result.summary == "lines 1\u20132 of 2"


async def test_a_range_says_what_comes_after(call: Call, root: Path) -> None:
    (root / "f").write_text("\n".join(f"l{i}" for i in range(1, 11)))
    result = await call("read_file", path="f", start_line=3, end_line=4)
    assert result.text == "     3\tl3\n     4\tl4\n… 6 more lines after this."


async def test_a_range_past_the_end_is_an_error(call: Call, root: Path) -> None:
    (root / "f").write_text("one\n")
    with pytest.raises(ToolError, match="has 1 line;"):
        await call("read_file", path="f", start_line=2)


async def test_a_long_file_is_cut_with_a_way_on(call: Call, root: Path) -> None:
    (root / "f").write_text("x\n" * 5_000)
    result = await call("read_file", path="f")
    assert f"go on with start_line={MAX_READ_LINES + 1}" in result.text
    (root / "wide").write_text(("y" * 1_900 + "\n") * 100)
    assert len((await call("read_file", path="wide")).text) < 45_000
    (root / "one-line").write_text("z" * 1_000_000)
    assert "characters cut" in (await call("read_file", path="one-line")).text


async def test_binary_and_huge_files_are_refused_with_a_hint(call: Call, root: Path) -> None:
    (root / "bin").write_bytes(b"a\0b")
    with pytest.raises(ToolError, match="binary"):
        await call("read_file", path="bin")
    with (root / "huge").open("wb") as file:
        file.truncate(20_000_000)
    with pytest.raises(ToolError, match="search_files"):
        await call("read_file", path="huge")


async def test_empty_and_undecodable_files_are_readable(call: Call, root: Path) -> None:
    (root / "empty").touch()
    assert (await call("read_file", path="empty")).summary == "empty"
    (root / "latin").write_bytes(b"caf\xe9\r\n")
    assert (await call("read_file", path="latin")).text.startswith("     1\tcaf\ufffd\n(The file")


async def test_writing_makes_directories_and_names_the_file(call: Call, root: Path) -> None:
    result = await call("write_file", path="a/b.txt", content="x\ny\n")
    assert (root / "a/b.txt").read_text() == "x\ny\n"
    assert result.files_touched == ("a/b.txt",)
    assert result.summary == "new file, 2 lines"
    assert (await call("write_file", path="a/b.txt", content="")).summary == "replaced, 0 lines"


async def test_what_cannot_be_written_is_an_error(call: Call) -> None:
    for path, content in (("../x", ""), (".git/x", ""), ("f", "\ud800"), ("f", "x" * 6_000_000)):
        with pytest.raises(ToolError):
            await call("write_file", path=path, content=content)


async def test_a_listing_has_directories_first_and_hides_git(call: Call, root: Path) -> None:
    for directory in (".git", "src/deep", "node_modules/x"):
        (root / directory).mkdir(parents=True)
    (root / "a.txt").write_bytes(b"x" * 2_048)
    (root / "src/deep/f").touch()
    (root / "link").symlink_to("/etc")
    result = await call("list_directory")
    assert result.text == "node_modules/\nsrc/\na.txt  2.0 KiB\nlink -> /etc"
    deep = await call("list_directory", depth=3)
    assert deep.text == ("node_modules/\nsrc/\n  deep/\n    f  0 B\na.txt  2.0 KiB\nlink -> /etc")


async def test_a_long_listing_is_cut(call: Call, root: Path) -> None:
    for number in range(MAX_ENTRIES + 10):
        (root / str(number)).touch()
    result = await call("list_directory")
    assert len(result.text.splitlines()) == MAX_ENTRIES + 1
    assert result.summary == f"more than {MAX_ENTRIES} entries"


async def test_odd_names_are_shown_on_one_line(call: Call, root: Path) -> None:
    (root / "new\nline").touch()
    (root / os.fsdecode(b"\xff")).touch()
    assert (await call("list_directory")).text == "new\\nline  0 B\n\ufffd  0 B"


async def test_listing_a_file_is_an_error(call: Call, root: Path) -> None:
    (root / "f").touch()
    with pytest.raises(ToolError, match="not a directory"):
        await call("list_directory", path="f")


async def test_an_edit_replaces_exactly_one_place(call: Call, root: Path) -> None:
    (root / "f").write_text("a\nb\nc\n")
    result = await call("edit_file", path="f", old_text="b\n", new_text="B\nBB\n")
    assert (root / "f").read_text() == "a\nB\nBB\nc\n"
    assert result.files_touched == ("f",)
    assert "line 2" in result.text


async def test_an_edit_that_is_not_unique_says_where(call: Call, root: Path) -> None:
    (root / "f").write_text("x = 1\ny\nx = 1\n")
    with pytest.raises(ToolError, match=r"2 times \(lines 1, 3\)"):
        await call("edit_file", path="f", old_text="x = 1", new_text="z")
    assert (root / "f").read_text() == "x = 1\ny\nx = 1\n"
    await call("edit_file", path="f", old_text="x = 1", new_text="z", replace_all=True)
    assert (root / "f").read_text() == "z\ny\nz\n"


async def test_an_edit_that_finds_nothing_hints_at_the_nearest_line(call: Call, root: Path) -> None:
    (root / "f").write_text("import os\ndef total(orders):\n    return 1\n")
    with pytest.raises(ToolError, match="nearest line is 2: def total"):
        await call("edit_file", path="f", old_text="def totals(order):", new_text="")
    with pytest.raises(ToolError, match="at line 2, but with other white space"):
        await call("edit_file", path="f", old_text="  def total(orders):\n  x", new_text="")
    with pytest.raises(ToolError, match="Read the file again"):
        await call("edit_file", path="f", old_text="####", new_text="")


async def test_an_edit_keeps_line_ends_and_undecodable_bytes(call: Call, root: Path) -> None:
    (root / "f").write_bytes(b"caf\xe9\r\none\r\ntwo\r\n")
    await call("edit_file", path="f", old_text="one\ntwo", new_text="1\n2\n3")
    assert (root / "f").read_bytes() == b"caf\xe9\r\n1\r\n2\r\n3\r\n"


@pytest.mark.parametrize(("old", "new"), [("", "x"), ("a", "a"), ("a", "\ud800"), ("\ud800", "")])
async def test_senseless_edits_are_refused(call: Call, root: Path, old: str, new: str) -> None:
    (root / "f").write_text("a")
    with pytest.raises(ToolError):
        await call("edit_file", path="f", old_text=old, new_text=new)
    assert (root / "f").read_text() == "a"
