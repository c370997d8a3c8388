import asyncio
import base64
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from bridge.errors import WorkspaceError
from bridge.protocol import MAX_PATCH_BYTES, ErrorCode, WorkspaceReady, WorkspaceRequest
from bridge.workspace.clone import make_checkout
from bridge.workspace.diff import read_changes, read_diff, read_patch
from bridge.workspace.filesystem import Workspace
from bridge.workspace.git import checked_git, failure_code
from tests.harness.git import make_repository, run_git

CANARY = "canary-git-token"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("template")
    files: dict[str, str | bytes] = {
        "a.txt": "".join(f"line {i}\n" for i in range(20)),
        "b.txt": "b\n",
        "bin": bytes(range(256)),
        ".gitignore": "ignored\n",
    }
    make_repository(directory, files)
    run_git(directory, "branch", "other")
    return directory


@pytest.fixture
def remote(tmp_path: Path, template: Path) -> Path:
    return shutil.copytree(template, tmp_path / "remote", symlinks=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    root.mkdir()
    return Workspace(root)


def request(remote: Path, **changed: str | None) -> WorkspaceRequest:
    values: dict[str, str | None] = {
        "repository": "acme/api",
        "clone_url": f"file://{remote}",
        "target_branch": "agent/one",
        "author_name": "Ana",
        "author_email": "ana@localhost",
    }
    return WorkspaceRequest.model_validate(values | changed)


async def made(remote: Path, workspace: Workspace, **changed: str | None) -> WorkspaceReady:
    return await make_checkout(
        request(remote, **changed), workspace, git_token=None, timeout_seconds=30
    )


async def refused(remote: Path, workspace: Workspace, **changed: str | None) -> ErrorCode:
    with pytest.raises(WorkspaceError) as caught:
        await made(remote, workspace, **changed)
    return caught.value.code


async def test_a_clone_creates_the_target_branch_at_the_default_branch(
    remote: Path, workspace: Workspace
) -> None:
    ready = await made(remote, workspace)
    root = workspace.root
    assert (ready.source_branch, ready.target_branch) == ("main", "agent/one")
    assert ready.base_commit == run_git(remote, "rev-parse", "main")
    assert not ready.already_there
    assert run_git(root, "branch", "--show-current") == "agent/one"
    assert run_git(root, "status", "--porcelain") == ""
    assert run_git(root, "config", "user.name") == "Ana"
    assert {path.name for path in root.iterdir()} == {".git", ".gitignore", "a.txt", "b.txt", "bin"}


async def test_a_named_source_branch_is_taken(remote: Path, workspace: Workspace) -> None:
    run_git(remote, "checkout", "-q", "other")
    (remote / "only-here").write_text("x")
    run_git(remote, "add", ".")
    run_git(remote, "commit", "-q", "-m", "two")
    run_git(remote, "checkout", "-q", "main")
    ready = await made(remote, workspace, source_branch="other")
    assert ready.base_commit == run_git(remote, "rev-parse", "other")
    assert (workspace.root / "only-here").exists()


async def test_a_target_branch_on_the_remote_is_continued(
    remote: Path, workspace: Workspace
) -> None:
    base = run_git(remote, "rev-parse", "main")
    run_git(remote, "checkout", "-q", "-b", "agent/one")
    (remote / "work").write_text("x")
    run_git(remote, "add", ".")
    run_git(remote, "commit", "-q", "-m", "work")
    run_git(remote, "checkout", "-q", "main")
    (remote / "later").write_text("x")
    run_git(remote, "add", ".")
    run_git(remote, "commit", "-q", "-m", "later")
    ready = await made(remote, workspace)
    assert ready.base_commit == base
    assert (workspace.root / "work").exists()
    assert not (workspace.root / "later").exists()


async def test_the_same_clone_twice_finds_it_there_with_its_work(
    remote: Path, workspace: Workspace
) -> None:
    first = await made(remote, workspace)
    (workspace.root / "work").write_text("x")
    run_git(workspace.root, "add", ".")
    run_git(workspace.root, "commit", "-q", "-m", "work")
    second = await made(remote, workspace)
    assert second.already_there
    assert second.base_commit == first.base_commit
    assert (workspace.root / "work").exists()


async def test_another_repository_or_branch_is_a_conflict(
    remote: Path, workspace: Workspace
) -> None:
    await made(remote, workspace)
    conflict = ErrorCode.WORKSPACE_CONFLICT
    assert await refused(remote, workspace, repository="acme/web") == conflict
    assert await refused(remote, workspace, target_branch="agent/two") == conflict
    assert await refused(remote, workspace, source_branch="other") == conflict


async def test_foreign_files_in_the_workspace_are_a_conflict_and_stay(
    remote: Path, workspace: Workspace
) -> None:
    (workspace.root / "precious").write_text("x")
    assert await refused(remote, workspace) == ErrorCode.WORKSPACE_CONFLICT
    assert (workspace.root / "precious").exists()


async def test_a_half_finished_clone_is_done_again(remote: Path, workspace: Workspace) -> None:
    (workspace.root / ".threadsmith-clone/.git").mkdir(parents=True)
    (workspace.root / "a.txt").write_text("half")
    await made(remote, workspace)
    assert (workspace.root / "a.txt").read_text().startswith("line 0")
    assert run_git(workspace.root, "status", "--porcelain") == ""


async def test_a_clone_stopped_half_way_can_be_made_again(
    remote: Path, workspace: Workspace
) -> None:
    for delay in (0.0, 0.01, 0.03):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(delay):
                await made(remote, workspace)
    assert (await made(remote, workspace)).target_branch == "agent/one"


async def test_two_clones_at_once_make_one(remote: Path, workspace: Workspace) -> None:
    results = await asyncio.gather(
        made(remote, workspace), made(remote, workspace), return_exceptions=True
    )
    ready = [result for result in results if isinstance(result, WorkspaceReady)]
    errors = [result for result in results if isinstance(result, WorkspaceError)]
    assert (len(ready), len(errors)) == (1, 1)
    assert errors[0].code == ErrorCode.WORKSPACE_CONFLICT


async def test_failures_have_their_codes_and_leave_nothing(
    remote: Path, workspace: Workspace, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    run_git(empty, "init", "-q")
    cases: list[tuple[Path, dict[str, str | None], ErrorCode]] = [
        (tmp_path / "none", {}, ErrorCode.REPOSITORY_NOT_FOUND),
        (remote, {"source_branch": "none"}, ErrorCode.BRANCH_NOT_FOUND),
        (empty, {}, ErrorCode.BRANCH_NOT_FOUND),
        (remote, {"target_branch": "-x"}, ErrorCode.INVALID_REQUEST),
        (remote, {"target_branch": "a..b"}, ErrorCode.INVALID_REQUEST),
        (remote, {"source_branch": "--upload-pack=touch x"}, ErrorCode.INVALID_REQUEST),
    ]
    for place, changed, code in cases:
        assert await refused(place, workspace, **changed) == code
        assert list(workspace.root.iterdir()) == []


async def test_a_slow_remote_is_a_timeout(workspace: Workspace) -> None:
    over = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await over.wait()
        return web.Response()

    async with serving(hang) as url:
        asked = request(Path("/none"), clone_url=f"{url}/r.git")
        with pytest.raises(WorkspaceError) as caught:
            await make_checkout(asked, workspace, git_token=None, timeout_seconds=0.3)
        over.set()
        assert caught.value.code == ErrorCode.CLONE_TIMEOUT


async def test_git_that_takes_too_long_or_does_not_start_is_an_error_of_the_clone(
    workspace: Workspace,
) -> None:
    run_git(workspace.root, "init", "-q")
    os.mkfifo(workspace.root / "pipe")  # whoever opens it waits
    with pytest.raises(WorkspaceError, match="took too long") as caught:
        await checked_git(
            workspace, "hash-object", "--", "pipe", code_of=failure_code, timeout_seconds=0.3
        )
    assert caught.value.code == ErrorCode.CLONE_FAILED
    missing = Workspace(workspace.root / "none")
    with pytest.raises(WorkspaceError, match="did not start") as caught:
        await checked_git(missing, "status", code_of=failure_code)
    assert caught.value.code == ErrorCode.CLONE_FAILED


@asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_the_token_reaches_the_server_and_no_message(workspace: Workspace) -> None:
    login = base64.b64encode(f"x-access-token:{CANARY}".encode()).decode()
    seen: list[str | None] = []

    async def refuse(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.Response(status=404, text=f"remote says {CANARY} {login}")

    async with serving(refuse) as url:
        asked = request(Path("/none"), clone_url=f"{url}/r.git")
        with pytest.raises(WorkspaceError) as caught:
            await make_checkout(asked, workspace, git_token=SecretStr(CANARY), timeout_seconds=20)
    assert seen[0] == f"Basic {login}"
    assert caught.value.code == ErrorCode.REPOSITORY_NOT_FOUND
    assert CANARY not in caught.value.message
    assert login not in caught.value.message


async def test_the_token_does_not_follow_a_redirect(workspace: Workspace) -> None:
    elsewhere: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        if request.path.startswith("/there"):
            elsewhere.append(request.path)
        raise web.HTTPFound(f"/there{request.path_qs}")

    async with serving(handler) as url:
        asked = request(Path("/none"), clone_url=f"{url}/r.git")
        with pytest.raises(WorkspaceError):
            await make_checkout(asked, workspace, git_token=SecretStr(CANARY), timeout_seconds=20)
    assert elsewhere == []


async def test_the_token_is_not_written_to_the_checkout(remote: Path, workspace: Workspace) -> None:
    await make_checkout(request(remote), workspace, git_token=SecretStr(CANARY), timeout_seconds=30)
    files = [path for path in workspace.root.rglob("*") if path.is_file()]
    assert files
    assert not any(CANARY.encode() in path.read_bytes() for path in files)


async def test_a_missing_checkout_or_commit_is_an_error(remote: Path, workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError) as caught:
        await read_changes(workspace, "0" * 40)
    assert caught.value.code == ErrorCode.WORKSPACE_MISSING
    await made(remote, workspace)
    for commit in ("0" * 40, "--output=x", "HEAD"):
        with pytest.raises(WorkspaceError):
            await read_patch(workspace, commit)


def work(root: Path) -> None:
    """One of every kind of change: committed, staged, unstaged and untracked."""
    (root / "a.txt").rename(root / "moved.txt")
    run_git(root, "add", ".")
    run_git(root, "commit", "-q", "-m", "move")
    (root / "b.txt").unlink()
    (root / "staged").write_text("1\n2\n")
    run_git(root, "add", "staged")
    (root / "bin").write_bytes(bytes(range(255, -1, -1)))
    (root / "new dir").mkdir()
    (root / "new dir/ü\n.txt").write_text("new\n")
    (root / "new.bin").write_bytes(b"\0\1\2")
    (root / "ignored").write_text("x")
    (root / "run.sh").write_text("x")
    (root / "run.sh").chmod(0o755)


async def test_changes_name_every_kind_of_change(remote: Path, workspace: Workspace) -> None:
    ready = await made(remote, workspace)
    assert await read_changes(workspace, ready.base_commit) == ()
    work(workspace.root)
    found = {
        change.path: (change.status, change.added, change.removed)
        for change in await read_changes(workspace, ready.base_commit)
    }
    assert found == {
        "moved.txt": ("renamed", 0, 0),
        "b.txt": ("deleted", 0, 1),
        "staged": ("added", 2, 0),
        "bin": ("modified", 0, 0),
        "new dir/ü\n.txt": ("untracked", 1, 0),
        "new.bin": ("untracked", 0, 0),
        "run.sh": ("untracked", 1, 0),
    }


async def test_the_list_shown_after_a_step_is_that_of_the_diff(
    remote: Path, workspace: Workspace
) -> None:
    ready = await made(remote, workspace)
    work(workspace.root)
    (workspace.root / "empty").touch()
    (workspace.root / "link").symlink_to("nowhere")
    (workspace.root / "a.txt").mkdir()
    (workspace.root / "a.txt" / "inside").write_text("1\n")
    listed = await read_changes(workspace, ready.base_commit)
    assert {"empty", "link", "a.txt/inside"} <= {change.path for change in listed}
    assert listed == (await read_diff(workspace, ready.base_commit, 10_000)).files


async def test_a_file_that_cannot_be_read_leaves_the_others_in_the_list(
    remote: Path, workspace: Workspace
) -> None:
    ready = await made(remote, workspace)
    (workspace.root / "closed").write_text("1\n")
    (workspace.root / "closed").chmod(0)
    (workspace.root / "new.txt").write_text("1\n")
    script = (
        "import asyncio, sys, pathlib; from bridge.workspace.diff import read_changes\n"
        "from bridge.workspace.filesystem import Workspace\n"
        "changes = read_changes(Workspace(pathlib.Path(sys.argv[1])), sys.argv[2])\n"
        "print([change.path for change in asyncio.run(changes)])"
    )
    # Root reads every file, unless it gives that right up.
    rights = "-dac_override,-dac_read_search"
    humble = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"]
    command = [sys.executable, "-c", script, str(workspace.root), ready.base_commit]
    listed = subprocess.run(
        [*(humble if os.geteuid() == 0 else ()), *command],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert listed.stdout == "['new.txt']\n"


async def test_a_patch_that_no_bridge_would_take_back_is_refused_in_words(
    remote: Path, workspace: Workspace
) -> None:
    ready = await made(remote, workspace)
    (workspace.root / "noise").write_bytes(os.urandom(MAX_PATCH_BYTES))
    with pytest.raises(WorkspaceError, match="larger than 20 MiB") as refused:
        await read_patch(workspace, ready.base_commit)
    assert refused.value.code is ErrorCode.TOO_LARGE


async def test_a_patch_applies_to_the_base_and_gives_the_same_tree(
    remote: Path, workspace: Workspace, tmp_path: Path
) -> None:
    ready = await made(remote, workspace)
    work(workspace.root)
    text = await read_patch(workspace, ready.base_commit)
    run_git(tmp_path, "clone", "-q", str(remote), "fresh")
    fresh = tmp_path / "fresh"
    run_git(fresh, "apply", "--index", stdin=text)
    run_git(workspace.root, "add", "--all")
    assert run_git(fresh, "write-tree") == run_git(workspace.root, "write-tree")


async def test_comparing_changes_neither_index_nor_objects(
    remote: Path, workspace: Workspace
) -> None:
    ready = await made(remote, workspace)
    work(workspace.root)
    git_dir = workspace.root / ".git"

    def state() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in git_dir.rglob("*") if path.is_file()}

    before = state()
    await read_changes(workspace, ready.base_commit)
    await read_diff(workspace, ready.base_commit, 10_000)
    await read_patch(workspace, ready.base_commit)
    assert state() == before


async def test_a_long_diff_is_cut_after_a_line(remote: Path, workspace: Workspace) -> None:
    ready = await made(remote, workspace)
    (workspace.root / "big").write_text("0123456789\n" * 10_000)
    whole = await read_diff(workspace, ready.base_commit, 1_000_000)
    assert not whole.truncated
    cut = await read_diff(workspace, ready.base_commit, 1_000)
    assert cut.truncated
    assert len(cut.text) <= 1_000
    assert cut.text.endswith("\n")
    assert whole.text.startswith(cut.text)
    assert cut.files == whole.files


async def test_a_nested_repository_does_not_spoil_the_comparison(
    remote: Path, workspace: Workspace
) -> None:
    ready = await made(remote, workspace)
    (workspace.root / "nested").mkdir()
    run_git(workspace.root / "nested", "init", "-q")
    (workspace.root / "z.txt").write_text("x\n")
    assert [c.path for c in await read_changes(workspace, ready.base_commit)] == ["z.txt"]


async def test_the_comparison_runs_no_program_of_the_repository(
    remote: Path, workspace: Workspace
) -> None:
    ready = await made(remote, workspace)
    root, mark = workspace.root, workspace.root.parent / "mark"
    script = workspace.root.parent / "script"
    script.write_text(f"#!/bin/sh\ntouch {mark}\n")
    script.chmod(0o755)
    (root / ".git/hooks").mkdir()
    for hook in ("post-index-change", "pre-commit"):
        (root / ".git/hooks" / hook).symlink_to(script)
    for key in ("core.fsmonitor", "diff.external", "diff.x.textconv", "diff.x.command"):
        run_git(root, "config", key, str(script))
    (root / ".gitattributes").write_text("* diff=x\n")
    (root / "b.txt").write_text("changed\n")
    await read_changes(workspace, ready.base_commit)
    await read_diff(workspace, ready.base_commit, 10_000)
    await read_patch(workspace, ready.base_commit)
    assert not mark.exists()
