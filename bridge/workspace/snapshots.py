"""Stores the files before each task as a commit of our own, and restores them on request.

A snapshot is a commit that no branch knows of; new files are part of it, ignored ones are not.
Clean and smudge filters are off, so that nobody's programs run and the bytes come back as they
were; line endings come back as the repository's own rules have them.
"""

import hashlib
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import WorkspaceError
from bridge.process.command import CommandResult, Limit
from bridge.protocol import ErrorCode
from bridge.workspace.clone import find_commit
from bridge.workspace.diff import staged_worktree
from bridge.workspace.filesystem import Workspace
from bridge.workspace.git import checked_git, git

_BEFORE, _UNDONE = "refs/threadsmith/before", "refs/threadsmith/undone"
_LIST_LIMIT = Limit(8_000_000, 0)
_MOST_FILTERS = 100
_WHO = {
    "GIT_AUTHOR_NAME": "Threadsmith",
    "GIT_AUTHOR_EMAIL": "threadsmith@localhost",
    "GIT_COMMITTER_NAME": "Threadsmith",
    "GIT_COMMITTER_EMAIL": "threadsmith@localhost",
}
_UNDO_MESSAGE = "Undo the last task"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Describes one stored state. `head` was checked out, on `branch`; either may be empty."""

    commit: str
    tree: str
    head: str
    branch: str


async def tree_of(workspace: Workspace, base_commit: str) -> str:
    """Returns git's name of the files as they are; stores nothing. Raises WorkspaceError."""
    async with staged_worktree(workspace, base_commit) as environment:
        return _output_line(await checked_git(workspace, "write-tree", extra=environment))


async def take_snapshot(workspace: Workspace, task_id: str) -> Snapshot:
    """Stores the files as they are before this task. Raises WorkspaceError."""
    return await _store_snapshot(workspace, f"{_BEFORE}/{_ref_part(task_id)}")


async def read_snapshot(workspace: Workspace, task_id: str) -> Snapshot | None:
    """Returns the snapshot from before this task, if there is one."""
    return await _load_snapshot(workspace, f"{_BEFORE}/{_ref_part(task_id)}")


async def restore_snapshot(workspace: Workspace, task_id: str) -> int:
    """Makes the files what they were before this task; returns how many of them differ by it.

    What the task committed stays in the history: a commit takes it back, since it may be pushed.
    What was there a moment ago is kept too, under refs/threadsmith/undone.
    Raises WorkspaceError.
    """
    before = await read_snapshot(workspace, task_id)
    if before is None:
        raise WorkspaceError(ErrorCode.NOT_FOUND, "Nothing was kept from before that task.")
    now = await _store_snapshot(workspace, f"{_UNDONE}/{_ref_part(task_id)}")
    listed = await checked_git(
        workspace, "diff", "--name-only", "-z", "--no-renames", now.tree, before.tree,
        limit=_LIST_LIMIT,
    )  # fmt: skip
    filters = await _filters_off(workspace)
    # A rebase that was left half-way would go on from elsewhere.
    await git(workspace, "rebase", "--quit")
    if (
        before.branch
        and before.branch != now.branch
        and await find_commit(workspace, before.branch)
    ):
        await checked_git(workspace, "symbolic-ref", "HEAD", before.branch)
    await _take_back_commits(workspace, before.head)
    # What is new has to be known to the index, or it would stay.
    await checked_git(workspace, "add", "--all", "--ignore-errors", extra=filters, accept=(0, 1))
    await checked_git(workspace, "read-tree", "--reset", "-u", before.tree, extra=filters)
    await checked_git(workspace, "reset", "--mixed", "--quiet", extra=filters)
    return listed.stdout.head.count(b"\0")


async def _take_back_commits(workspace: Workspace, head: str) -> None:
    """Commits the files that were committed before, on top of what is there."""
    at = await find_commit(workspace, "HEAD")
    if not head or at is None or at == head:
        return
    wanted = _output_line(await checked_git(workspace, "rev-parse", "--verify", f"{head}^{{tree}}"))
    there = _output_line(await checked_git(workspace, "rev-parse", "--verify", f"{at}^{{tree}}"))
    if wanted == there:
        return
    made = await checked_git(
        workspace, "commit-tree", wanted, "-p", at, "-m", _UNDO_MESSAGE, extra=_WHO
    )
    await checked_git(workspace, "update-ref", "-m", _UNDO_MESSAGE, "HEAD", _output_line(made), at)


async def _store_snapshot(workspace: Workspace, name: str) -> Snapshot:
    head = await find_commit(workspace, "HEAD") or ""
    finished = await git(workspace, "symbolic-ref", "--quiet", "HEAD")
    branch = finished.stdout.text.strip()
    filters = await _filters_off(workspace)
    with tempfile.TemporaryDirectory(prefix="threadsmith-keep-") as directory:
        index = Path(directory) / "index"
        with suppress(FileNotFoundError):
            shutil.copy2(workspace.root / ".git" / "index", index)
        extra = filters | {"GIT_INDEX_FILE": str(index)}
        await checked_git(workspace, "add", "--all", "--ignore-errors", extra=extra, accept=(0, 1))
        tree = _output_line(await checked_git(workspace, "write-tree", extra=extra))
    parent = ("-p", head) if head else ()
    message = f"head {head}\nbranch {branch}"
    made = _output_line(
        await checked_git(workspace, "commit-tree", tree, *parent, "-m", message, extra=_WHO)
    )
    await checked_git(workspace, "update-ref", name, made)
    return Snapshot(made, tree, head, branch)


async def _load_snapshot(workspace: Workspace, name: str) -> Snapshot | None:
    finished = await git(workspace, "log", "-1", "--format=%H %T%n%B", name)
    match = re.match(
        r"([0-9a-f]{40,64}) ([0-9a-f]{40,64})\nhead ([0-9a-f]*)\nbranch (refs/heads/\S+)?\s*$",
        finished.stdout.text,
    )
    if finished.exit_code != 0 or match is None:
        return None
    return Snapshot(match[1], match[2], match[3], match[4] or "")


async def _filters_off(workspace: Workspace) -> dict[str, str]:
    """Returns settings that switch off every filter that the checkout's own settings name."""
    listed = await git(
        workspace, "config", "--local", "--null", "--name-only", "--get-regexp", r"^filter\."
    )
    keys = [key for key in listed.stdout.text.split("\0") if key.count(".") > 1]
    names = list(dict.fromkeys(key.rpartition(".")[0] for key in keys))
    if len(names) > _MOST_FILTERS:
        raise WorkspaceError(ErrorCode.WORKSPACE_CONFLICT, "The checkout has too many filters.")
    settings = [(f"{name}.{part}", "") for name in names for part in ("clean", "smudge", "process")]
    settings += [(f"{name}.required", "false") for name in names]
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def _ref_part(task_id: str) -> str:
    """Makes a part of a ref's name, whatever is in the id."""
    return hashlib.sha256(task_id.encode()).hexdigest()[:20]


def _output_line(finished: CommandResult) -> str:
    return finished.stdout.text.strip()
