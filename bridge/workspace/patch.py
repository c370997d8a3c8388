"""Applies a patch to a checkout, all of it or nothing, and notes which one it was."""

import asyncio
import hashlib
import tempfile
from pathlib import Path

from bridge.errors import WorkspaceError
from bridge.process.command import CommandResult, StartError
from bridge.protocol import ErrorCode
from bridge.workspace.filesystem import Workspace
from bridge.workspace.git import checked_git, failure_code, git

_APPLIED = "threadsmith.patch"  # in the checkout's own settings: the digest of what is in it


async def applied_digest(checkout: Workspace) -> str:
    """Returns the digest of the patch that was put into the checkout; empty: there was none."""
    return (await git(checkout, "config", "--local", "--get", _APPLIED)).stdout.text.strip()


async def apply_patch(checkout: Workspace, data: bytes) -> None:
    """Applies a patch, all or nothing, and notes its digest. Raises WorkspaceError."""
    try:
        with tempfile.NamedTemporaryFile(prefix="threadsmith-patch-") as file:
            await asyncio.to_thread(_fill, Path(file.name), data)
            # Git checks all of it before it writes any of it.
            finished = await git(checkout, "apply", "--binary", "--whitespace=nowarn", file.name)
    except StartError as error:
        raise WorkspaceError(ErrorCode.INTERNAL, str(error)) from error
    except OSError as error:
        message = f"The patch cannot be handed over: {error.strerror}."
        raise WorkspaceError(ErrorCode.NO_SPACE, message) from error
    if finished.exit_code != 0:
        raise _patch_error(finished)
    digest = hashlib.sha256(data).hexdigest()
    await checked_git(checkout, "config", "--local", "--", _APPLIED, digest)


def _patch_error(finished: CommandResult) -> WorkspaceError:
    if finished.timed_out:
        return WorkspaceError(ErrorCode.INTERNAL, "Applying the patch took too long.")
    stderr = finished.stderr.text
    if failure_code(stderr) is ErrorCode.NO_SPACE:
        return WorkspaceError(ErrorCode.NO_SPACE, "No space is left for what the patch holds.")
    first = " ".join(stderr.strip().splitlines()[:3])[:500]
    return WorkspaceError(ErrorCode.WORKSPACE_CONFLICT, f"The patch does not apply: {first}")


async def is_changed(checkout: Workspace) -> bool:
    """Tells whether the checkout differs from its commit."""
    listed = await checked_git(checkout, "status", "--porcelain", "-z", "--untracked-files=all")
    return bool(listed.stdout.head or listed.stdout.tail)


async def reset_checkout(checkout: Workspace) -> None:
    """Puts the checkout back to its commit; only a part of a patch may have changed it."""
    await checked_git(checkout, "reset", "--hard", "--quiet")
    await checked_git(checkout, "clean", "-ffdxq", "--exclude=/lost+found")


def _fill(path: Path, data: bytes) -> None:
    path.write_bytes(data)
