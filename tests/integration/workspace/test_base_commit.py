"""A workspace that begins where an earlier one began."""

import shutil
from pathlib import Path

import pytest

from bridge.errors import WorkspaceError
from bridge.protocol import ErrorCode
from bridge.workspace.diff import read_changes
from bridge.workspace.filesystem import Workspace
from tests.harness.git import run_git
from tests.integration.workspace.test_checkout import made


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    root = tmp_path / "remote"
    root.mkdir()
    run_git(root, "init", "-q", "-b", "main")
    for name in ("one", "two", "three"):
        (root / name).write_text(f"{name}\n")
        run_git(root, "add", ".")
        run_git(root, "commit", "-q", "-m", name)
    return root


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


async def test_the_target_branch_begins_at_the_base_commit(
    remote: Path, workspace: Workspace
) -> None:
    base = run_git(remote, "rev-parse", "main~1")
    run_git(remote, "branch", "agent/one")
    ready = await made(remote, workspace, base_commit=base)
    root = workspace.root
    assert (ready.base_commit, ready.source_branch) == (base, "main")
    assert run_git(root, "rev-parse", "HEAD", "agent/one").split() == [base, base]
    assert not (root / "three").exists()
    assert await read_changes(workspace, base) == ()


async def test_the_base_stays_through_merges_and_is_found_again(
    remote: Path, workspace: Workspace
) -> None:
    base = run_git(remote, "rev-parse", "main~2")
    await made(remote, workspace, base_commit=base)
    run_git(workspace.root, "merge", "-q", "--ff-only", "origin/main")
    for wanted in (base, None):
        again = await made(remote, workspace, base_commit=wanted)
        assert (again.base_commit, again.already_there) == (base, True)


async def test_a_base_that_the_branch_was_rewritten_without_is_fetched(
    remote: Path, workspace: Workspace
) -> None:
    base = run_git(remote, "rev-parse", "main")
    run_git(remote, "reset", "-q", "--hard", "main~2")
    run_git(remote, "commit", "-q", "--allow-empty", "-m", "other")
    ready = await made(remote, workspace, base_commit=base)
    assert ready.base_commit == base
    assert (workspace.root / "three").exists()
    assert run_git(workspace.root, "rev-parse", "--is-shallow-repository") == "false"


async def test_a_shallow_remote_serves_what_it_has(
    remote: Path, workspace: Workspace, tmp_path: Path
) -> None:
    shallow = tmp_path / "shallow"
    run_git(tmp_path, "clone", "-q", "--depth=2", f"file://{remote}", str(shallow))
    base = run_git(remote, "rev-parse", "main~1")
    assert (await made(shallow, workspace, base_commit=base)).base_commit == base
    shutil.rmtree(workspace.root)
    with pytest.raises(WorkspaceError) as caught:
        await made(shallow, workspace, base_commit=run_git(remote, "rev-parse", "main~2"))
    assert caught.value.code is ErrorCode.CLONE_FAILED


@pytest.mark.parametrize("base", ["0" * 40, "ab" * 20, "f" * 64])
async def test_a_commit_that_is_nowhere_is_a_clear_failure(
    remote: Path, workspace: Workspace, base: str
) -> None:
    with pytest.raises(WorkspaceError) as caught:
        await made(remote, workspace, base_commit=base)
    assert caught.value.code is ErrorCode.CLONE_FAILED
    assert base[:12] in caught.value.message
    assert list(workspace.root.iterdir()) == []
    assert not (await made(remote, workspace)).already_there
