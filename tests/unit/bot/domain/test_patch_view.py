"""Patches as git writes them, read back as files with hunks."""

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from bot.domain.patch_view import MAX_HUNKS_CHARS, files_of, part_of
from tests.harness.git import make_repository, run_git, run_git_bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "kept.py": "".join(f"line {n}\n" for n in range(40)),
        "gone.py": "one\ntwo\n",
        "old name.py": "".join(f"row {n}\n" for n in range(40)),
        "tool.sh": "true\n",
    }
    return make_repository(tmp_path, files)


def patch(folder: Path) -> bytes:
    run_git(folder, "add", "--all")
    options = ("--cached", "--binary", "--full-index", "--find-renames")
    return run_git_bytes(folder, "diff", *options, "HEAD")


def test_every_kind_of_change_is_named(folder: Path) -> None:
    (folder / "kept.py").write_text("".join(f"line {n}\n" for n in range(1, 41)))
    (folder / "gone.py").unlink()
    (folder / "old name.py").rename(folder / "new\tnäme.py")
    (folder / "picture.png").write_bytes(bytes(range(256)))
    (folder / "tool.sh").chmod(0o755)
    (folder / "diff --git a").write_text("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n")
    made = patch(folder)
    found = {file.path: file for file in files_of(made)}
    assert {path: (f.added, f.removed, f.note) for path, f in found.items()} == {
        "kept.py": (1, 1, ""),
        "gone.py": (0, 2, "deleted"),
        "new\tnäme.py": (0, 0, "renamed from old name.py"),
        "picture.png": (0, 0, "new, binary"),
        "tool.sh": (0, 0, "mode 100755"),
        "diff --git a": (4, 0, "new"),
    }
    assert found["gone.py"].text.startswith("@@ -1,2 +0,0 @@\n-one\n-two\n")
    assert b"".join(part_of(made, f.key) or b"" for f in files_of(made)) == made


def test_the_part_of_one_file_applies_alone(folder: Path) -> None:
    (folder / "kept.py").write_text("other\n")
    (folder / "picture.png").write_bytes(bytes(range(256)))
    made = patch(folder)
    run_git(folder, "reset", "--hard", "--quiet")
    [picture] = [file for file in files_of(made) if file.path == "picture.png"]
    (folder / "part.patch").write_bytes(part_of(made, picture.key) or b"")
    run_git(folder, "apply", "part.patch")
    assert (folder / "picture.png").read_bytes() == bytes(range(256))
    assert (folder / "kept.py").read_text().startswith("line 0\n")


def test_a_long_file_is_cut_and_says_so(folder: Path) -> None:
    (folder / "long.txt").write_text("x" * (MAX_HUNKS_CHARS + 1))
    [file] = files_of(patch(folder))
    assert (file.is_cut, len(file.text), file.added) == (True, MAX_HUNKS_CHARS, 1)


def test_a_file_that_is_gone_has_no_part(folder: Path) -> None:
    assert part_of(b"", "0" * 16) is None


@given(st.binary(max_size=400))
def test_no_bytes_are_too_strange(noise: bytes) -> None:
    head = b"diff --git a/a b/a\n"
    assert files_of(noise) == files_of(noise)
    assert len(files_of(head + noise.replace(b"diff --git ", b""))) == 1
