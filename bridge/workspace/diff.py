"""Compares the workspace with its base commit, uncommitted and new files included.

All of it is read through a copy of the index and an object directory of its own, so that neither
the checkout's index nor its object store nor a file in it changes.
"""

import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

from bridge.errors import WorkspaceError
from bridge.process.command import Limit
from bridge.protocol import (
    MAX_CHANGED_FILES,
    MAX_PATCH_BYTES,
    MAX_PATH_CHARS,
    Diff,
    ErrorCode,
    FileChange,
)
from bridge.workspace.filesystem import Workspace
from bridge.workspace.git import DIFF_OPTIONS, checked_git

_LIST_LIMIT = Limit(8_000_000, 0)
_COUNTED = 3


async def read_changes(workspace: Workspace, base_commit: str) -> tuple[FileChange, ...]:
    """Returns the files that differ from the base, in path order, at most MAX_CHANGED_FILES.

    Raises WorkspaceError when there is no checkout, or not this commit.
    """
    try:
        # Only the names of new files are staged: to store their content each time would make every
        # step dearer, the more files the agent has written.
        async with staged_worktree(workspace, base_commit, "--intent-to-add") as snapshot:
            return await _list_changes(workspace, base_commit, snapshot)
    except WorkspaceError:  # one file that cannot be read ends it; staging passes over such files
        async with staged_worktree(workspace, base_commit) as snapshot:
            return await _list_changes(workspace, base_commit, snapshot, "--cached")


async def read_diff(
    workspace: Workspace, base_commit: str, limit_bytes: int, *, path: str | None = None
) -> Diff:
    """Returns the changes for people to read, `text` cut after a whole line within the limit.

    `path`, relative to the root, narrows the text, not the list of files.
    """
    async with staged_worktree(workspace, base_commit) as snapshot:
        files = await _list_changes(workspace, base_commit, snapshot, "--cached")
        only = () if path is None else ("--", path)
        finished = await checked_git(
            workspace,
            *("diff", "--cached", *DIFF_OPTIONS, base_commit, *only),
            extra=snapshot,
            limit=Limit(max(limit_bytes, 0), 0),
        )
    text = finished.stdout.head.decode(errors="replace")
    if finished.stdout.cut_bytes:
        text = text[: text.rfind("\n") + 1]
    return Diff(
        base_commit=base_commit, files=files, text=text, truncated=finished.stdout.cut_bytes > 0
    )


async def read_patch(workspace: Workspace, base_commit: str) -> bytes:
    """Returns a patch that `git apply` takes on the base commit; empty when nothing changed.

    Raises WorkspaceError also when it is larger than what the bot reads and a bridge takes.
    """
    async with staged_worktree(workspace, base_commit) as snapshot:
        finished = await checked_git(
            workspace,
            *("diff", "--cached", "--binary", "--full-index", *DIFF_OPTIONS, base_commit),
            extra=snapshot,
            limit=Limit(MAX_PATCH_BYTES, 0),
        )
    if finished.stdout.cut_bytes:
        mebibytes = MAX_PATCH_BYTES // 2**20
        raise WorkspaceError(ErrorCode.TOO_LARGE, f"The patch is larger than {mebibytes} MiB.")
    return finished.stdout.head


@asynccontextmanager
async def staged_worktree(
    workspace: Workspace, base_commit: str, *how: str
) -> AsyncIterator[dict[str, str]]:
    """Yields the environment of git commands that see the whole worktree as staged.

    `how` are further options of `git add`.
    """
    git_dir = workspace.root / ".git"
    if not re.fullmatch(r"[0-9a-f]{7,64}", base_commit) or not git_dir.is_dir():
        raise WorkspaceError(ErrorCode.WORKSPACE_MISSING, "There is no checkout to compare.")
    with tempfile.TemporaryDirectory(
        prefix="threadsmith-diff-", ignore_cleanup_errors=True
    ) as directory:
        index = Path(directory) / "index"
        with suppress(FileNotFoundError):
            # With its times: git decides by them which entries it may trust unread.
            shutil.copy2(git_dir / "index", index)
        objects = Path(directory) / "objects"
        objects.mkdir()
        snapshot = {
            "GIT_INDEX_FILE": str(index),
            "GIT_OBJECT_DIRECTORY": str(objects),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(git_dir / "objects"),
        }
        # Exit code 1: some file could not be read or added; the others are there.
        add = ("add", "--all", "--ignore-errors", *how)
        await checked_git(workspace, *add, extra=snapshot, accept=(0, 1))
        yield snapshot


async def _list_changes(
    workspace: Workspace, base_commit: str, snapshot: dict[str, str], *how: str
) -> tuple[FileChange, ...]:
    untracked = await checked_git(
        workspace, "ls-files", "--others", "--exclude-standard", "-z", limit=_LIST_LIMIT
    )
    listed = await checked_git(
        workspace,
        *("diff", *how, "--raw", "--numstat", "-z", *DIFF_OPTIONS, base_commit),
        extra=snapshot,
        limit=_LIST_LIMIT,
    )
    return tuple(
        _parse_changes(
            listed.stdout.head.split(b"\0"), frozenset(untracked.stdout.head.split(b"\0"))
        )
    )[:MAX_CHANGED_FILES]


def _parse_changes(fields: list[bytes], untracked: frozenset[bytes]) -> list[FileChange]:
    """Parses `-z` output: every raw entry (meta, path, for a rename the new path), then counts.

    A count is `added TAB removed TAB path`, and for a rename the path is empty and two follow.
    """
    letters: dict[bytes, str] = {}
    changes = []
    remaining = iter(fields)
    for field in remaining:
        if field.startswith(b":"):
            letter = chr(field.rsplit(b" ", 1)[-1][0])
            path = next(remaining, b"")
            letters[next(remaining, b"") if letter in "RC" else path] = letter
        elif len(counts := field.split(b"\t", 2)) == _COUNTED:
            added, removed, path = counts
            if not path:
                _, path = next(remaining, b""), next(remaining, b"")
            changes.append(
                FileChange(
                    path=path.decode(errors="replace")[:MAX_PATH_CHARS],
                    status=_status(letters.get(path, "M"), path in untracked),
                    added=int(added) if added.isdigit() else 0,
                    removed=int(removed) if removed.isdigit() else 0,
                )
            )
    return changes


def _status(
    letter: str, untracked: bool
) -> Literal["added", "modified", "deleted", "renamed", "untracked"]:
    match letter:
        case "A" | "C":
            return "untracked" if untracked else "added"
        case "D":
            return "deleted"
        case "R":
            return "renamed"
        case _:
            return "modified"
