"""Makes the checkout of an agent once, by a clone, with the branch that the agent works on."""

import asyncio
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from bridge.errors import WorkspaceError
from bridge.process.command import CommandResult, StartError
from bridge.protocol import ErrorCode, WorkspaceReady, WorkspaceRequest
from bridge.workspace.filesystem import TEMPORARY_PREFIX, Workspace
from bridge.workspace.git import (
    PROTOCOLS,
    authorisation,
    checked_git,
    failure_code,
    git,
    git_at,
    without_token,
)
from bridge.workspace.patch import apply_patch

_UNFINISHED = ".threadsmith-clone"
_NOT_OURS = frozenset({"lost+found"})
# Git knows it without having it.
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_NOBODY = {
    f"GIT_{role}_{name}": value
    for role in ("AUTHOR", "COMMITTER")
    for name, value in (
        ("NAME", "Threadsmith"),
        ("EMAIL", "threadsmith@localhost"),
        ("DATE", "2000-01-01T00:00:00Z"),
    )
}


_checked_git = partial(checked_git, code_of=failure_code)


async def make_checkout(
    request: WorkspaceRequest,
    workspace: Workspace,
    *,
    git_token: SecretStr | None,
    timeout_seconds: float,
    saved_patch: bytes = b"",
) -> WorkspaceReady:
    """Makes the checkout, or returns the one that is there.

    The work happens in a directory of its own inside the workspace, and moves up when it is whole:
    what a killed clone left is recognised by that directory, removed and done again. A saved
    patch is part of the whole, but does not go into a checkout that is there already.
    Raises WorkspaceError.
    """
    began = time.monotonic()
    check_names(request.source_branch, request.target_branch)
    with _hold_lock(workspace.root):
        names = set(os.listdir(workspace.root)) - _NOT_OURS  # noqa: PTH208  (names only)
        if ".git" in names:
            return await _read_existing(request, workspace, began)
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
            await create_empty(checkout)
        else:
            await _fetch(request, request.clone_url, unfinished, token, timeout_seconds)
        if request.base_commit is not None and not await find_commit(checkout, request.base_commit):
            await _fetch_base(request.base_commit, request, checkout, token, timeout_seconds)
        branch_and_base = await set_up_branch(request, checkout)
        if saved_patch:
            await apply_patch(checkout, saved_patch)
        _move_up(unfinished, workspace.root)
        return branch_and_base
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
        raise _clone_error(request, finished, token)


async def _fetch_base(
    base: str,
    request: WorkspaceRequest,
    checkout: Workspace,
    token: SecretStr | None,
    timeout_seconds: float,
) -> None:
    """Fetches the commit by its id: a rewritten branch or a shallow clone does not bring it."""
    await git_at(
        checkout.root,
        *PROTOCOLS,
        *("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "origin", base),
        extra_environment=authorisation(token),
        timeout_seconds=timeout_seconds,
    )
    if await find_commit(checkout, base) is None:
        raise WorkspaceError(
            ErrorCode.CLONE_FAILED,
            f"{request.repository} no longer has the commit {base[:12]} that the work began from.",
        )


def _clone_error(
    request: WorkspaceRequest, finished: CommandResult, token: SecretStr | None
) -> WorkspaceError:
    stderr = finished.stderr.text
    code = failure_code(stderr)
    match code:
        case ErrorCode.NO_SPACE:
            message = f"No space is left for a clone of {request.repository}."
        case ErrorCode.BRANCH_NOT_FOUND:
            message = f"{request.repository} has no branch {request.source_branch}."
        case ErrorCode.REPOSITORY_NOT_FOUND:
            message = f"{request.repository} was not found, or the git token has no access to it."
        case _:
            last = [line for line in stderr.strip().splitlines() if line][-3:]
            message = f"git could not clone {request.repository}: {' '.join(last)[:500]}"
    return WorkspaceError(code, without_token(message, token))


async def _read_existing(
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
    if base is None or await find_commit(workspace, base) is None:
        base = await find_base(workspace, source, request.target_branch)
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
def _hold_lock(root: Path) -> Iterator[None]:
    """Locks the workspace, so that one clone runs at a time; the lock ends with the process."""
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
    """Moves the entries up, `.git` last: a workspace that has it holds a whole checkout."""
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


def check_names(*names: str | None) -> None:
    """Raises WorkspaceError for a name that git would not take, or would take for an option."""
    bad = re.compile(r"^[-/.]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|//|@\{|/\.|\.lock(/|$)|[/.]$|^@$")
    for name in names:
        if name is not None and bad.search(name):
            raise WorkspaceError(ErrorCode.INVALID_REQUEST, f"{name[:100]!r} is no branch name.")


async def set_up_branch(request: WorkspaceRequest, checkout: Workspace) -> tuple[str, str]:
    """Creates the target branch and sets the committer; returns the source branch and the base.

    A base commit of the request has to be in the checkout already. Raises WorkspaceError.
    """
    source = request.source_branch or await _default_branch(request, checkout)
    remote_source = await find_commit(checkout, f"refs/remotes/origin/{source}")
    if remote_source is None:
        raise WorkspaceError(
            ErrorCode.BRANCH_NOT_FOUND, f"{request.repository} has no branch {source}."
        )
    target = request.target_branch
    start = request.base_commit
    if start is None:
        start = await find_commit(checkout, f"refs/remotes/origin/{target}") or remote_source
    await _checked_git(checkout, "checkout", "--quiet", "--no-track", "-B", target, start)
    for key, value in (
        ("user.name", request.author_name),
        ("user.email", request.author_email),
        ("threadsmith.repository", request.repository),
        ("threadsmith.source", source),
        ("threadsmith.target", target),
    ):
        await _checked_git(checkout, "config", "--local", "--", key, value)
    if request.base_commit is not None:
        await _checked_git(
            checkout, "config", "--local", "--", "threadsmith.base", request.base_commit
        )
    info = checkout.root / ".git" / "info"
    info.mkdir(exist_ok=True)
    with (info / "exclude").open("a") as exclude:
        exclude.write(f"{TEMPORARY_PREFIX}*\n")
    return source, request.base_commit or await find_base(checkout, source, target) or start


async def create_empty(checkout: Workspace) -> None:
    """Makes a repository whose `main` holds one empty commit, with the same id each time.

    Its remote has no address: nothing can be fetched or pushed. Raises WorkspaceError.
    """
    await _checked_git(checkout, "init", "--quiet", "--template=", "--initial-branch=main")
    made = await git_at(
        checkout.root,
        *("commit-tree", "-m", "An empty workspace", _EMPTY_TREE),
        extra_environment=_NOBODY,
    )
    for name in ("refs/heads/main", "refs/remotes/origin/main"):
        await _checked_git(checkout, "update-ref", name, made.stdout.text.strip())


async def find_base(checkout: Workspace, source: str, target: str) -> str | None:
    """Returns where the target branch left the source branch; its tip if they share no history."""
    remote = f"refs/remotes/origin/{source}"
    merged = await git(checkout, "merge-base", f"refs/heads/{target}", remote)
    return merged.stdout.text.strip() or await find_commit(checkout, remote)


async def _default_branch(request: WorkspaceRequest, checkout: Workspace) -> str:
    head = await git(checkout, "symbolic-ref", "--quiet", "--short", "HEAD")
    name = head.stdout.text.strip()
    if not name or await find_commit(checkout, "HEAD") is None:
        raise WorkspaceError(
            ErrorCode.BRANCH_NOT_FOUND,
            f"{request.repository} has no commit on its default branch to start from.",
        )
    return name


async def find_commit(checkout: Workspace, name: str) -> str | None:
    """Returns the full id of the commit that a name stands for; None when there is none."""
    finished = await git(checkout, "rev-parse", "--quiet", "--verify", f"{name}^{{commit}}")
    return finished.stdout.text.strip() or None


async def commit_all(checkout: Workspace, message: str) -> None:
    """Commits what is not committed yet, if there is any; raises WorkspaceError."""
    await _checked_git(checkout, "add", "--all")
    if (await git(checkout, "diff", "--cached", "--quiet")).exit_code != 0:
        named = ("--no-verify", "--no-gpg-sign", "--message", message)
        await _checked_git(checkout, "commit", "--quiet", *named)
