from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.errors import ToolError
from tests.integration.tools.conftest import Call

Git = Callable[..., str]


async def test_status_names_branch_and_changes(call: Call, root: Path, repository: str) -> None:
    assert (await call("git_status")).summary == "clean"
    (root / "new").touch()
    (root / "app.py").write_text("x\n")
    result = await call("git_status")
    assert result.text.splitlines() == ["## main", " M app.py", "?? new"]
    assert result.summary == "2 changes"


async def test_the_three_scopes_of_a_diff(
    call: Call, root: Path, repository: str, git: Git
) -> None:
    (root / "README.md").write_text("# Staged\n")
    git("add", "README.md")
    (root / "app.py").write_text("def f():\n    return 2\n")
    (root / "new.py").write_text("new = 1\n")
    unstaged = await call("git_diff", scope="unstaged")
    staged = await call("git_diff", scope="staged")
    source = await call("git_diff")
    assert "return 2" in unstaged.text
    assert "Staged" not in unstaged.text
    assert "Staged" in staged.text
    assert "return 2" not in staged.text
    assert all(word in source.text for word in ("Staged", "return 2", "new = 1"))
    minus = "\N{MINUS SIGN}"
    assert unstaged.summary == f"1 file, +1 {minus}1"
    assert source.summary == f"3 files, +3 {minus}2"


async def test_a_diff_can_be_narrowed_to_a_path(call: Call, root: Path, repository: str) -> None:
    (root / "app.py").write_text("x\n")
    (root / "README.md").write_text("y\n")
    for scope in ("source", "unstaged"):
        text = (await call("git_diff", scope=scope, path="app.py")).text
        assert "app.py" in text
        assert "README" not in text
    with pytest.raises(ToolError, match="outside"):
        await call("git_diff", path="../x")


async def test_no_changes_are_a_result(call: Call, repository: str) -> None:
    for scope in ("source", "staged", "unstaged"):
        assert (await call("git_diff", scope=scope)).summary == "no changes"


async def test_a_huge_diff_is_cut(call: Call, root: Path, repository: str) -> None:
    (root / "app.py").write_text("x = 1\n" * 100_000)
    for scope in ("source", "unstaged"):
        assert len((await call("git_diff", scope=scope)).text) < 45_000


async def test_the_log_is_newest_first_and_limited(
    call: Call, root: Path, repository: str, git: Git
) -> None:
    (root / "app.py").write_text("x\n")
    git("commit", "-aqm", "two")
    result = await call("git_log")
    assert [line.split(": ", 1)[1] for line in result.text.splitlines()] == [
        "two (HEAD -> main)",
        "one",
    ]
    assert (await call("git_log", limit=1)).summary == "1 commit"
    assert (await call("git_log", path="README.md")).summary == "1 commit"


async def test_without_a_checkout_every_tool_says_so(call: Call) -> None:
    for tool in ("git_status", "git_diff", "git_log"):
        with pytest.raises(ToolError):
            await call(tool)


async def test_a_bare_repository_inside_is_not_discovered(call: Call, root: Path) -> None:
    for name in ("objects", "refs"):
        (root / name).mkdir()
    (root / "HEAD").write_text("ref: refs/heads/main\n")
    (root / "config").write_text("[core]\nrepositoryformatversion = 0\nbare = true\n")
    with pytest.raises(ToolError, match="not a git repository"):
        await call("git_status")


async def test_no_program_of_the_repository_runs(
    call: Call, root: Path, tmp_path: Path, repository: str, git: Git
) -> None:
    script, mark = tmp_path / "script", tmp_path / "mark"
    script.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    script.chmod(0o755)
    for key in ("core.fsmonitor", "diff.external", "diff.x.textconv", "diff.x.command"):
        git("config", key, str(script))
    for key in ("core.pager", "pager.diff", "pager.log", "gpg.program", "core.hooksPath"):
        git("config", key, str(script))
    git("config", "log.showSignature", "true")
    (root / ".git/hooks/post-index-change").symlink_to(script)
    (root / ".gitattributes").write_text("* diff=x\n")
    (root / "app.py").write_text("changed\n")
    await call("git_status")
    await call("git_log")
    for scope in ("source", "staged", "unstaged"):
        await call("git_diff", scope=scope)
    assert not mark.exists()
