"""The checkout of an agent: made once, by a clone, and found again afterwards."""

import asyncio
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from bridge.errors import WorkspaceError
from bridge.process.run import CommandResult, StartError
from bridge.protocol import ErrorCode, WorkspaceReady, WorkspaceRequest
from bridge.workspace.branches import base_of, begin_empty, check_names, commit, set_up
from bridge.workspace.diff import changes, diff, patch
from bridge.workspace.filesystem import Workspace
from bridge.workspace.git import (
    PROTOCOLS,
    authorisation,
    failure_code,
    git,
    git_at,
    without_token,
)
from bridge.workspace.patch import apply_patch

__all__ = ["changes", "clone", "diff", "patch"]

_UNFINISHED = ".threadsmith-clone"
_NOT_OURS = frozenset({"lost+found"})


async def clone(
    request: WorkspaceRequest,
    workspace: Workspace,
    *,
    git_token: SecretStr | None,
    timeout_seconds: float,
    saved_patch: bytes = b"",
) -> WorkspaceReady:
    """Make the checkout, or find it there.

    The work happens in a directory of its own inside the workspace, and moves up when it is whole:
    what a killed clone left is recognised by that directory, removed and done again. A saved
    patch is part of the whole, but does not go into a checkout that is there already.
    Raises WorkspaceError.
    """
    began = time.monotonic()
    check_names(request.source_branch, request.target_branch)
    with _claimed(workspace.root):
        names = set(os.listdir(workspace.root)) - _NOT_OURS  # noqa: PTH208  (names only)
        if ".git" in names:
            return await _already_there(request, workspace, began)
        if _UNFINISHED in names:
            await asyncio.to_thread(_empty, workspace.root)
        elif names:
            raise WorkspaceError(
                ErrorCode.WORKSPACE_CONFLICT, "The workspace holds files that are no checkout."
            )
        source, base = await _clone_whole(
            request, workspace, git_token, timeout_seconds, saved_patch
        )
    return WorkspaceReady(
        repository=request.repository,
        source_branch=source,
        target_branch=request.target_branch,
        base_commit=base,
        duration_seconds=time.monotonic() - began,
    )


async def _clone_whole(
    request: WorkspaceRequest,
    workspace: Workspace,
    token: SecretStr | None,
    timeout_seconds: float,
    saved_patch: bytes,
) -> tuple[str, str]:
    unfinished = workspace.root / _UNFINISHED
    try:
        unfinished.mkdir()
        checkout = Workspace(unfinished)
        if request.clone_url is None:
            await begin_empty(checkout)
        else:
            await _fetch(request, request.clone_url, unfinished, token, timeout_seconds)
        if request.base_commit is not None and not await commit(checkout, request.base_commit):
            await _fetch_base(request.base_commit, request, checkout, token, timeout_seconds)
        found = await set_up(request, checkout)
        if saved_patch:
            await apply_patch(checkout, saved_patch)
        _move_up(unfinished, workspace.root)
        return found
    except OSError as error:
        raise WorkspaceError(
            ErrorCode.CLONE_FAILED, f"The workspace cannot be written: {error.strerror}."
        ) from error
    except WorkspaceError:
        await asyncio.to_thread(shutil.rmtree, unfinished, True)
        raise


async def _fetch(
    request: WorkspaceRequest,
    url: str,
    into: Path,
    token: SecretStr | None,
    timeout_seconds: float,
) -> None:
    options = ["--no-recurse-submodules", "--template=", "--origin=origin", "--quiet"]
    if request.source_branch is not None:
        options.append(f"--branch={request.source_branch}")
    try:
        finished = await git_at(
            into,
            *PROTOCOLS,
            *("clone", *options, "--", url, "."),
            extra_environment=authorisation(token),
            timeout_seconds=timeout_seconds,
        )
    except StartError as error:
        raise WorkspaceError(ErrorCode.CLONE_FAILED, str(error)) from error
    if finished.timed_out:
        raise WorkspaceError(
            ErrorCode.CLONE_TIMEOUT,
            f"Cloning {request.repository} took longer than {timeout_seconds:g} s.",
        )
    if finished.exit_code != 0:
        raise _failure(request, finished, token)


async def _fetch_base(
    base: str,
    request: WorkspaceRequest,
    checkout: Workspace,
    token: SecretStr | None,
    timeout_seconds: float,
) -> None:
    """Ask for the commit by its id: a rewritten branch or a shallow clone does not bring it."""
    await git_at(
        checkout.root,
        *PROTOCOLS,
        *("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "origin", base),
        extra_environment=authorisation(token),
        timeout_seconds=timeout_seconds,
    )
    if await commit(checkout, base) is None:
        raise WorkspaceError(
            ErrorCode.CLONE_FAILED,
            f"{request.repository} no longer has the commit {base[:12]} that the work began from.",
        )


def _failure(
    request: WorkspaceRequest, finished: CommandResult, token: SecretStr | None
) -> WorkspaceError:
    said = finished.stderr.text
    code = failure_code(said)
    match code:
        case ErrorCode.NO_SPACE:
            message = f"No space is left for a clone of {request.repository}."
        case ErrorCode.BRANCH_NOT_FOUND:
            message = f"{request.repository} has no branch {request.source_branch}."
        case ErrorCode.REPOSITORY_NOT_FOUND:
            message = f"{request.repository} was not found, or the git token has no access to it."
        case _:
            last = [line for line in said.strip().splitlines() if line][-3:]
            message = f"git could not clone {request.repository}: {' '.join(last)[:500]}"
    return WorkspaceError(code, without_token(message, token))


async def _already_there(
    request: WorkspaceRequest, workspace: Workspace, began: float
) -> WorkspaceReady:
    listed = await git(workspace, "config", "--local", "--null", "--get-regexp", r"^threadsmith\.")
    settings = dict(
        entry.split("\n", 1) for entry in listed.stdout.text.split("\0") if "\n" in entry
    )
    repository = settings.get("threadsmith.repository")
    source, target = settings.get("threadsmith.source"), settings.get("threadsmith.target")
    if (
        source is None
        or (repository, target) != (request.repository, request.target_branch)
        or request.source_branch not in (None, source)
    ):
        raise WorkspaceError(
            ErrorCode.WORKSPACE_CONFLICT,
            f"The workspace already holds {repository or 'another repository'}"
            f" (branch {target or 'unknown'}).",
        )
    base = settings.get("threadsmith.base")
    if base is None or await commit(workspace, base) is None:
        base = await base_of(workspace, source, request.target_branch)
    if base is None:
        raise WorkspaceError(
            ErrorCode.CLONE_FAILED, f"The checkout has lost its commit of {source} to compare with."
        )
    return WorkspaceReady(
        repository=request.repository,
        source_branch=source,
        target_branch=request.target_branch,
        base_commit=base,
        duration_seconds=time.monotonic() - began,
        already_there=True,
    )


@contextmanager
def _claimed(root: Path) -> Iterator[None]:
    """Only one clone at a time, whoever asks; the claim falls with the process that holds it."""
    descriptor = None
    try:
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if descriptor is None:
            code, reason = ErrorCode.CLONE_FAILED, f"cannot be opened: {error.strerror}"
        else:
            os.close(descriptor)
            code, reason = ErrorCode.WORKSPACE_CONFLICT, "is being cloned already"
        raise WorkspaceError(code, f"The workspace {reason}.") from error
    try:
        yield
    finally:
        os.close(descriptor)


def _move_up(unfinished: Path, root: Path) -> None:
    """`.git` goes last: a workspace that has it holds a whole checkout."""
    entries = sorted(unfinished.iterdir(), key=lambda entry: entry.name == ".git")
    for entry in entries:
        entry.rename(root / entry.name)
    unfinished.rmdir()


def _empty(root: Path) -> None:
    for entry in root.iterdir():
        if entry.name in _NOT_OURS:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
