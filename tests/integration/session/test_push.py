"""The agent's commits, pushed past the settings of its checkout."""

from pathlib import Path

import pytest

from bridge.protocol import PushRequest
from tests.harness.git import run_git
from tests.integration.session.conftest import OpenSession

BRANCH = "refs/heads/agent/demo"


@pytest.fixture
def bare(remote: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "bare.git"
    run_git(tmp_path, "clone", "--quiet", "--bare", str(remote), str(folder))
    return folder


def push_request(bare: Path) -> PushRequest:
    return PushRequest(clone_url=f"file://{bare}")


def commit(workspace: Path, text: str = "new\n") -> str:
    (workspace / "new.txt").write_text(text)
    run_git(workspace, "add", ".")
    run_git(workspace, "commit", "--quiet", "-m", "mine")
    return run_git(workspace, "rev-parse", "HEAD")


async def test_what_is_committed_is_pushed_and_what_is_not_stays(
    open_session: OpenSession, bare: Path, tmp_path: Path
) -> None:
    async with open_session() as running:
        workspace = tmp_path / "workspace"
        (workspace / "loose.txt").write_text("not committed")
        assert (await running.session.push(push_request(bare))).commit is None
        head = ""
        for text in ("one", "two"):
            head = commit(workspace, text)
            pushed = await running.session.push(push_request(bare))
            assert (pushed.commit, pushed.refusal) == (head, "")
            assert run_git(bare, "rev-parse", BRANCH) == head
        again = await running.session.push(push_request(bare))
        assert again.commit == head


async def test_what_is_not_committed_becomes_a_commit_when_there_is_a_message_for_it(
    open_session: OpenSession, bare: Path, tmp_path: Path
) -> None:
    async with open_session() as running:
        workspace = tmp_path / "workspace"
        asked = PushRequest(clone_url=f"file://{bare}", commit_message="--amend <it>\n\nall of it")
        assert (await running.session.push(asked)).commit is None
        (workspace / "loose.txt").write_text("new")
        (workspace / ".git" / "hooks").mkdir(exist_ok=True)
        hook = workspace / ".git" / "hooks" / "pre-commit"
        hook.write_text("#!/bin/sh\nexit 1\n")
        hook.chmod(0o755)
        pushed = await running.session.push(asked)
        assert pushed.refusal == ""
        assert run_git(bare, "log", "--format=%B", "-1", BRANCH) == asked.commit_message
        assert run_git(bare, "show", f"{BRANCH}:loose.txt") == "new"
        assert (await running.session.push(asked)).commit == pushed.commit
        (workspace / "loose.txt").write_text("newer")
        (workspace / ".git" / "index.lock").touch()
        refused = await running.session.push(asked)
        assert "index.lock" in refused.refusal
        assert run_git(bare, "rev-parse", BRANCH) == pushed.commit


async def test_a_hostile_checkout_changes_neither_the_target_nor_runs_anything(
    open_session: OpenSession, bare: Path, tmp_path: Path
) -> None:
    async with open_session() as running:
        workspace, elsewhere = tmp_path / "workspace", tmp_path / "elsewhere.git"
        head = commit(workspace)
        run_git(tmp_path, "init", "--quiet", "--bare", str(elsewhere))
        canary = tmp_path / "canary"
        for key, value in (
            (f"url.file://{elsewhere}.insteadOf", f"file://{bare}"),
            (f"url.file://{elsewhere}.pushInsteadOf", f"file://{bare}"),
            ("remote.pushDefault", "elsewhere"),
            ("credential.helper", f"!touch {canary}"),
            ("core.sshCommand", f"touch {canary}"),
            ("core.hooksPath", str(workspace / "hooks")),
            ("push.gpgSign", "true"),
            ("gpg.program", str(workspace / "hooks" / "pre-push")),
            ("push.followTags", "true"),
        ):
            run_git(workspace, "config", key, value)
        hook = workspace / "hooks" / "pre-push"
        hook.parent.mkdir()
        hook.write_text(f"#!/bin/sh\ntouch {canary}\n")
        hook.chmod(0o755)
        run_git(workspace, "tag", "v1")
        pushed = await running.session.push(push_request(bare))
        assert (pushed.commit, pushed.refusal) == (head, "")
        assert run_git(elsewhere, "for-each-ref") == ""
        assert "refs/tags" not in run_git(bare, "for-each-ref")
        assert not canary.exists()


async def test_a_branch_that_others_have_moved_is_not_overwritten(
    open_session: OpenSession, bare: Path, tmp_path: Path, remote: Path
) -> None:
    async with open_session() as running:
        other = tmp_path / "other"
        run_git(tmp_path, "clone", "--quiet", str(bare), str(other))
        theirs = commit(other, "theirs")
        run_git(other, "push", "--quiet", "origin", f"HEAD:{BRANCH}")
        commit(tmp_path / "workspace")
        pushed = await running.session.push(push_request(bare))
        assert pushed.commit is None
        assert "rejected" in pushed.refusal
        assert run_git(bare, "rev-parse", BRANCH) == theirs


async def test_a_remote_that_is_away_is_a_refusal(
    open_session: OpenSession, tmp_path: Path
) -> None:
    async with open_session() as running:
        commit(tmp_path / "workspace")
        pushed = await running.session.push(push_request(tmp_path / "nowhere"))
        assert pushed.commit is None
        assert pushed.refusal
