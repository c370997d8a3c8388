import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.errors import ToolError
from bridge.workspace import filesystem
from bridge.workspace.filesystem import Workspace

SECRET = b"secret outside"
SWAP = """
import os, sys
os.chdir(sys.argv[1])
while True:
    os.rename("d", "real"); os.rename("link", "d")
    os.rename("d", "link"); os.rename("real", "d")
"""


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "file").write_bytes(SECRET)
    return directory


@pytest.fixture(params=["openat2", "walk"])
def workspace(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    if request.param == "walk":
        monkeypatch.setattr(filesystem, "_openat2", filesystem.open_by_components)
    root = tmp_path / "root"
    root.mkdir()
    return Workspace(root)


@pytest.fixture
def kernel_workspace(tmp_path: Path) -> Workspace:
    root = tmp_path / "root"
    root.mkdir()
    return Workspace(root)


def test_a_file_is_read(workspace: Workspace) -> None:
    (workspace.root / "a").mkdir()
    (workspace.root / "a" / "f").write_bytes(b"x")
    assert workspace.read_bytes("a/./../a//f", 10) == b"x"


def test_absolute_paths_inside_are_made_relative(workspace: Workspace) -> None:
    assert workspace.relative(f"{workspace.root}/a/b") == "a/b"
    assert workspace.relative(str(workspace.root)) == "."


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../../x", "a\0b", "//etc", "\ud800", "/"]
)
def test_paths_outside_or_senseless_are_refused(workspace: Workspace, path: str) -> None:
    with pytest.raises(ToolError):
        workspace.read_bytes(path, 10)
    with pytest.raises(ToolError):
        workspace.write_bytes(path, b"")


def test_a_neighbour_with_the_roots_name_as_its_beginning_is_outside(workspace: Workspace) -> None:
    with pytest.raises(ToolError, match="outside"):
        workspace.relative(f"{workspace.root}-other/file")


@pytest.mark.parametrize("relative_link", [True, False])
def test_links_that_lead_outside_are_not_followed(
    workspace: Workspace, outside: Path, relative_link: bool
) -> None:
    target = "../outside" if relative_link else str(outside)
    (workspace.root / "d").symlink_to(target)
    (workspace.root / "f").symlink_to(f"{target}/file")
    actions: list[Callable[[], object]] = [
        lambda: workspace.read_bytes("d/file", 100),
        lambda: workspace.read_bytes("f", 100),
        lambda: workspace.write_bytes("d/file", b"x"),
        lambda: workspace.write_bytes("d/new/file", b"x"),
        lambda: workspace.write_bytes("f", b"x"),
        lambda: workspace.entries("d"),
    ]
    for action in actions:
        with pytest.raises(ToolError):
            action()
    assert (outside / "file").read_bytes() == SECRET
    assert [path.name for path in outside.iterdir()] == ["file"]


def test_links_inside_are_followed_and_written_through(kernel_workspace: Workspace) -> None:
    root = kernel_workspace.root
    (root / "real").write_text("a")
    (root / "link").symlink_to("real")
    assert kernel_workspace.read_bytes("link", 10) == b"a"
    assert not kernel_workspace.write_bytes("link", b"b")
    assert (root / "link").is_symlink()
    assert (root / "real").read_text() == "b"


def test_special_files_neither_block_nor_open(workspace: Workspace) -> None:
    os.mkfifo(workspace.root / "pipe")
    with pytest.raises(ToolError, match="regular"):
        workspace.read_bytes("pipe", 10)
    with pytest.raises(ToolError, match="regular"):
        workspace.write_bytes("pipe", b"x")
    with pytest.raises(ToolError, match="directory"):
        workspace.read_bytes(".", 10)
    with pytest.raises(ToolError, match="directory"):
        workspace.write_bytes(".", b"x")


def test_a_link_into_proc_is_not_followed(workspace: Workspace) -> None:
    (workspace.root / "self").symlink_to("/proc/self/environ")
    with pytest.raises(ToolError):
        workspace.read_bytes("self", 1_000_000)


def test_a_file_over_the_limit_is_refused(workspace: Workspace) -> None:
    (workspace.root / "f").write_bytes(b"x" * 11)
    with pytest.raises(ToolError, match="too large"):
        workspace.read_bytes("f", 10)


def test_writing_makes_directories_and_says_whether_the_file_is_new(workspace: Workspace) -> None:
    assert workspace.write_bytes("a/b/c", b"1")
    assert not workspace.write_bytes("a/b/c", b"2")
    assert (workspace.root / "a/b/c").read_bytes() == b"2"
    assert [path.name for path in (workspace.root / "a/b").iterdir()] == ["c"]


def test_writing_keeps_the_mode(workspace: Workspace) -> None:
    path = workspace.root / "run"
    path.write_text("old")
    path.chmod(0o750)
    workspace.write_bytes("run", b"new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o750


def test_a_file_in_the_way_of_a_directory_is_an_error(workspace: Workspace) -> None:
    (workspace.root / "a").write_text("x")
    with pytest.raises(ToolError):
        workspace.write_bytes("a/b", b"x")
    with pytest.raises(ToolError, match="too long"):
        workspace.write_bytes("n" * 300, b"x")


@pytest.mark.parametrize("path", [".git/config", ".GIT/hooks/x", "a/.Git/config", ".git"])
def test_gits_own_files_are_not_written(workspace: Workspace, path: str) -> None:
    with pytest.raises(ToolError, match="git"):
        workspace.write_bytes(path, b"x")


def test_gits_own_files_are_not_written_through_a_link(kernel_workspace: Workspace) -> None:
    root = kernel_workspace.root
    (root / ".git").mkdir()
    (root / ".git/config").write_text("[core]")
    (root / "innocent").symlink_to(".git")
    (root / "file").symlink_to(".git/config")
    for path in ("innocent/config", "innocent/hooks/x", "innocent/new", "file"):
        with pytest.raises(ToolError, match="git"):
            kernel_workspace.write_bytes(path, b"x")
    assert (root / ".git/config").read_text() == "[core]"
    assert [path.name for path in (root / ".git").iterdir()] == ["config"]


def test_a_missing_root_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError):
        Workspace(tmp_path / "none").read_bytes("f", 10)


@contextmanager
def swapping(root: Path) -> Iterator[None]:
    attacker = subprocess.Popen([sys.executable, "-I", "-S", "-c", SWAP, str(root)])
    try:
        yield
    finally:
        attacker.kill()
        attacker.wait()


def naive(root: Path) -> bytes:
    """What everybody writes first: resolve, compare, open."""
    path = (root / "d/file").resolve()
    return (root / "d/file").read_bytes() if path.is_relative_to(root) else b""


def test_a_rename_race_never_leads_outside(workspace: Workspace, outside: Path) -> None:
    root = workspace.root
    (root / "d").mkdir()
    (root / "d/file").write_bytes(b"inside")
    (root / "link").symlink_to(outside)
    seen = {b"inside": 0, SECRET: 0, b"": 0}
    naive_leaks = 0
    with swapping(root):
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline or (
            not (seen[b"inside"] and naive_leaks) and time.monotonic() < deadline + 5
        ):
            try:
                seen[workspace.read_bytes("d/file", 100)] += 1
            except ToolError:
                seen[b""] += 1
            try:
                naive_leaks += naive(root) == SECRET
            except OSError:
                continue
    assert naive_leaks, "the race did not happen: the test proves nothing"
    assert seen[b"inside"]
    assert seen[SECRET] == 0


def test_a_rename_race_never_writes_outside(workspace: Workspace, outside: Path) -> None:
    root = workspace.root
    (root / "d").mkdir()
    (root / "link").symlink_to(outside)
    written = 0
    with swapping(root):
        deadline = time.monotonic() + 0.2
        while time.monotonic() < deadline or (not written and time.monotonic() < deadline + 5):
            try:
                workspace.write_bytes(f"d/new{written}", b"x")
                written += 1
            except ToolError:
                continue
    assert written
    assert [path.name for path in outside.iterdir()] == ["file"]
