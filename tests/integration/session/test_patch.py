"""The changes of an earlier container, put into a fresh workspace."""

import os
import subprocess
from pathlib import Path

import pytest

from bridge.config import BridgeSettings
from bridge.errors import BridgeError, WorkspaceError
from bridge.protocol import ErrorCode, FilesChanged, WorkspaceRequest
from bridge.runner.operations import LocalRunner
from bridge.runner.saved_patch import SavedPatch
from bridge.workspace.filesystem import Workspace
from tests.integration.session.conftest import OpenSession, calls, message, says, task

ESCAPE = b"""diff --git a/x b/x
new file mode 120000
--- /dev/null
+++ b/x
@@ -0,0 +1 @@
+..
\\ No newline at end of file
diff --git a/x/escaped b/x/escaped
new file mode 100644
--- /dev/null
+++ b/x/escaped
@@ -0,0 +1 @@
+hello
"""
NEW_FILE = b"""diff --git a/%s b/%s
new file mode 100644
--- /dev/null
+++ b/%s
@@ -0,0 +1 @@
+hello
"""


def new_file(name: bytes) -> bytes:
    return NEW_FILE % (name, name, name)


def change(root: Path) -> None:
    """Every kind of change: edited, new, deleted, binary, a link, a mode, awkward names."""
    (root / "README.md").write_text("# Demo\n\nhello there  \t\nno newline")
    (root / "AGENTS.md").unlink()
    (root / "new dir").mkdir()
    (root / "new dir" / "ü\t'x'.bin").write_bytes(bytes(range(256)) * 50)
    (root / "link").symlink_to("README.md")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "dos.txt").write_bytes(b"a\r\nb\r\n")
    (root / ".gitattributes").write_text("*.crlf text eol=crlf\n")
    (root / "windows.crlf").write_bytes(b"a\r\nb\r\n")


def listed(root: Path) -> dict[str, tuple[int, bytes]]:
    files = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            files[name] = (0, os.fsencode(path.readlink()))
        elif path.is_file() and not name.startswith(".git/"):
            files[name] = (path.stat().st_mode & 0o111, path.read_bytes())
    return files


async def patch_of(open_session: OpenSession, settings: BridgeSettings) -> bytes:
    async with open_session() as running:
        change(settings.workspace_dir)
        data: bytes = await running.session.patch()
    return data


@pytest.mark.parametrize("early", [True, False], ids=["before the clone", "after the clone"])
async def test_a_patch_makes_the_same_files_once_more(
    open_session: OpenSession,
    settings: BridgeSettings,
    workspace_request: WorkspaceRequest,
    tmp_path: Path,
    early: bool,
) -> None:
    data = await patch_of(open_session, settings)
    new = tmp_path / "new"
    async with open_session(prepare=False, elsewhere=new) as running:
        if early:
            await running.session.apply(new_file(b"not this"))
            await running.session.apply(data)
        await running.session.prepare(workspace_request)
        if not early:
            await running.session.apply(data)
        await running.session.apply(data)
        again = await running.session.patch()
        events = await running.events(lambda event: isinstance(event, FilesChanged))
    made, meant = listed(new / "workspace"), listed(settings.workspace_dir)
    # Git reads the attributes before it writes them: line ends as git stores them, not as shown.
    assert made.pop("windows.crlf")[1].replace(b"\r", b"") == b"a\nb\n"
    meant.pop("windows.crlf")
    assert made == meant
    assert again == data
    assert isinstance(events[-1], FilesChanged)
    assert {file.path for file in events[-1].files} >= {"README.md", "link", "windows.crlf"}
    assert [path.name for path in (new / "state").iterdir() if "patch" in path.name] == []


async def test_no_task_begins_before_a_kept_patch_is_in(
    open_session: OpenSession, settings: BridgeSettings, workspace_request: WorkspaceRequest
) -> None:
    steps = (calls("read_file", {"path": "made.txt"}), says("Done."))
    async with open_session(*steps, prepare=False) as running:
        await running.session.apply(new_file(b"made.txt"))
        await running.session.prepare(workspace_request)
        await running.session.execute(task())
        await running.finished("t1")
        assert "hello" in running.model.asked[1].messages[-1]["content"]


async def test_nothing_of_a_patch_that_does_not_fit_is_applied(
    open_session: OpenSession, settings: BridgeSettings
) -> None:
    wrong = b"--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-other\n+mine\n"
    bad = [new_file(b"good") + wrong, b"no patch", new_file(b"../escaped"), ESCAPE]
    bad += [new_file(b".git/hooks/post-checkout"), new_file(b"good")[:-8]]
    async with open_session() as running:
        before = listed(settings.workspace_dir)
        for data in bad:
            with pytest.raises(BridgeError) as caught:
                await running.session.apply(data)
            assert caught.value.code is ErrorCode.WORKSPACE_CONFLICT, data
            assert "does not apply" in caught.value.message
        assert listed(settings.workspace_dir) == before
        assert not (settings.workspace_dir.parent / "escaped").exists()
        await running.session.apply(b"")
        await running.session.apply(new_file(b"good"))
        assert (settings.workspace_dir / "good").exists()


async def test_a_patch_that_fits_no_clone_stops_it_until_it_is_taken_back(
    open_session: OpenSession, settings: BridgeSettings, workspace_request: WorkspaceRequest
) -> None:
    async with open_session(prepare=False) as running:
        await running.session.apply(b"no patch")
        for _ in range(2):
            with pytest.raises(BridgeError, match="does not apply"):
                await running.session.prepare(workspace_request)
        assert list(settings.workspace_dir.iterdir()) == []
        await running.session.apply(b"")
        await running.session.prepare(workspace_request)


async def test_a_workspace_with_work_in_it_takes_no_patch(
    open_session: OpenSession, settings: BridgeSettings
) -> None:
    async with open_session(says("Done."), says("Again.")) as running:
        (settings.workspace_dir / "work").write_text("x")
        with pytest.raises(BridgeError) as caught:
            await running.session.apply(new_file(b"good"))
        assert caught.value.code is ErrorCode.WORKSPACE_CONFLICT
        assert (settings.workspace_dir / "work").read_text() == "x"
        (settings.workspace_dir / "work").unlink()
        await running.session.execute(task())
        await running.finished("t1")
        with pytest.raises(BridgeError) as caught:
            await running.session.apply(new_file(b"good"))
        assert caught.value.code is ErrorCode.WORKSPACE_CONFLICT
        await running.session.chat(message(1))
        await running.finished("r1")


async def test_a_checkout_whose_state_was_lost_keeps_its_work(
    open_session: OpenSession, settings: BridgeSettings, workspace_request: WorkspaceRequest
) -> None:
    async with open_session():
        pass
    (settings.workspace_dir / "work").write_text("x")
    for path in settings.state_dir.iterdir():
        path.unlink()
    async with open_session(prepare=False) as running:
        await running.session.apply(new_file(b"good"))
        with pytest.raises(WorkspaceError, match="changes of its own"):
            await running.session.prepare(workspace_request)
        assert (settings.workspace_dir / "work").read_text() == "x"
        (settings.workspace_dir / "work").unlink()
        await running.session.prepare(workspace_request)
        assert (settings.workspace_dir / "good").exists()


@pytest.mark.parametrize("fits", [True, False])
async def test_what_a_kill_cut_short_is_completed_or_undone(
    open_session: OpenSession, settings: BridgeSettings, fits: bool
) -> None:
    async with open_session():
        pass
    root = settings.workspace_dir
    (root / ".git" / "info" / "exclude").write_text("half\n")
    (root / "half").write_text("hel")
    (root / "README.md").write_text("half")
    data = new_file(b"half") if fits else b"no patch"
    (settings.state_dir / "patch.applying").write_bytes(data)
    async with open_session(says("Done."), prepare=False) as running:
        await running.session.execute(task())
        await running.finished("t1")
        assert (root / "half").exists() is fits
        assert (root / "README.md").read_text() == "# Demo\n\nhello\n"
    assert not (settings.state_dir / "patch.applying").exists()


async def test_a_kill_after_the_clone_but_before_it_was_told_applies_nothing_twice(
    open_session: OpenSession, settings: BridgeSettings, workspace_request: WorkspaceRequest
) -> None:
    async with open_session(prepare=False) as running:
        await running.session.apply(new_file(b"good"))
        await running.session.prepare(workspace_request)
    (settings.state_dir / "events.jsonl").unlink()
    (settings.state_dir / "patch.waiting").write_bytes(new_file(b"good"))
    async with open_session(prepare=False) as running:
        assert (await running.session.prepare(workspace_request)).already_there
        assert (settings.workspace_dir / "good").read_text() == "hello\n"


async def test_a_program_of_the_repository_does_not_run(
    open_session: OpenSession, settings: BridgeSettings, tmp_path: Path
) -> None:
    async with open_session() as running:
        hooks = settings.workspace_dir / ".git" / "hooks"
        hooks.mkdir(exist_ok=True)
        for name in ("post-checkout", "post-index-change", "pre-commit"):
            (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
            (hooks / name).chmod(0o755)
        git = ["git", "-C", str(settings.workspace_dir), "config"]
        subprocess.run([*git, "core.fsmonitor", f"touch {tmp_path}/ran"], check=True)
        await running.session.apply(new_file(b"good"))
    assert not (tmp_path / "ran").exists()


async def test_a_full_disk_keeps_no_part_of_a_patch(tmp_path: Path) -> None:
    runner = LocalRunner(Workspace(tmp_path), tmp_path)
    (tmp_path / "state").write_text("a file where the directory should be")
    with pytest.raises(BridgeError) as caught:
        await SavedPatch(tmp_path / "state", runner).store(b"x")
    assert caught.value.code is ErrorCode.INTERNAL
    with pytest.raises(WorkspaceError):
        await SavedPatch(tmp_path / "none", runner).apply_now(b"x")
