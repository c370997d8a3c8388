"""The checkout of an agent: made once, by a clone, and found again afterwards."""

import asyncio
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr

from bridge.comparison import changes, diff, patch
from bridge.errors import WorkspaceError
from bridge.git import authorisation, git, git_at, without_token
from bridge.process import Finished, StartError
from bridge.protocol import ErrorCode, WorkspaceReady, WorkspaceRequest
from bridge.workspace import TEMPORARY_PREFIX, Workspace

__all__ = ["changes", "clone", "diff", "patch"]

_PROTOCOLS = (
    *("-c", "protocol.allow=never"),
    *("-c", "protocol.https.allow=always"),
    *("-c", "protocol.http.allow=always"),
    *("-c", "protocol.file.allow=always"),
)
_UNFINISHED = ".threadsmith-clone"
_NOT_OURS = frozenset({"lost+found"})
_NOT_FOUND = (
    r"repository .*not found|does not exist|does not appear to be a git repository"
    r"|authentication failed|could not read (username|password)|invalid credentials"
    r"|returned error: (401|403|404)|access denied|permission .*denied"
)
_FAILURES = (
    (ErrorCode.NO_SPACE, r"no space left|disk quota exceeded|unable to write file"),
    (ErrorCode.BRANCH_NOT_FOUND, r"remote branch .* not found"),
    (ErrorCode.REPOSITORY_NOT_FOUND, _NOT_FOUND),
)


async def clone(
    request: WorkspaceRequest,
    workspace: Workspace,
    *,
    git_token: SecretStr | None,
    timeout_seconds: float,
) -> WorkspaceReady:
    """Make the checkout, or find it there.

    The work happens in a directory of its own inside the workspace, and moves up when it is whole:
    what a killed clone left is recognised by that directory, removed and done again.
    Raises WorkspaceError.
    """
    began = time.monotonic()
    _check_branch(request.source_branch, request.target_branch)
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
        source, base = await _clone_whole(request, workspace, git_token, timeout_seconds)
    return WorkspaceReady(
        repository=request.repository,
        source_branch=source,
        target_branch=request.target_branch,
        base_commit=base,
        duration_seconds=time.monotonic() - began,
    )


async def _clone_whole(
    request: WorkspaceRequest, workspace: Workspace, token: SecretStr | None, timeout_seconds: float
) -> tuple[str, str]:
    unfinished = workspace.root / _UNFINISHED
    try:
        unfinished.mkdir()
        await _fetch(request, unfinished, token, timeout_seconds)
        found = await _set_up(request, Workspace(unfinished))
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
    request: WorkspaceRequest, into: Path, token: SecretStr | None, timeout_seconds: float
) -> None:
    options = ["--no-recurse-submodules", "--template=", "--origin=origin", "--quiet"]
    if request.source_branch is not None:
        options.append(f"--branch={request.source_branch}")
    try:
        finished = await git_at(
            into,
            *_PROTOCOLS,
            *("clone", *options, "--", request.clone_url, "."),
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


def _failure(
    request: WorkspaceRequest, finished: Finished, token: SecretStr | None
) -> WorkspaceError:
    said = finished.stderr.text
    code = _code_of(said)
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


def _code_of(said: str) -> ErrorCode:
    for code, pattern in _FAILURES:
        if re.search(pattern, said, re.IGNORECASE):
            return code
    return ErrorCode.CLONE_FAILED


async def _set_up(request: WorkspaceRequest, checkout: Workspace) -> tuple[str, str]:
    """Create the target branch and set who commits; gives the source branch and the base."""
    source = request.source_branch or await _default_branch(request, checkout)
    remote_source = await _commit(checkout, f"refs/remotes/origin/{source}")
    if remote_source is None:
        raise WorkspaceError(
            ErrorCode.BRANCH_NOT_FOUND, f"{request.repository} has no branch {source}."
        )
    target = request.target_branch
    start = await _commit(checkout, f"refs/remotes/origin/{target}") or remote_source
    await _must(checkout, "checkout", "--quiet", "--no-track", "-B", target, start)
    for key, value in (
        ("user.name", request.author_name),
        ("user.email", request.author_email),
        ("threadsmith.repository", request.repository),
        ("threadsmith.source", source),
        ("threadsmith.target", target),
    ):
        await _must(checkout, "config", "--local", "--", key, value)
    info = checkout.root / ".git" / "info"
    info.mkdir(exist_ok=True)
    with (info / "exclude").open("a") as exclude:
        exclude.write(f"{TEMPORARY_PREFIX}*\n")
    return source, await _base(checkout, source, target) or start


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
    base = await _base(workspace, source, request.target_branch)
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


async def _base(checkout: Workspace, source: str, target: str) -> str | None:
    """Where the target branch left the source branch; its tip where they share no history."""
    remote = f"refs/remotes/origin/{source}"
    merged = await git(checkout, "merge-base", f"refs/heads/{target}", remote)
    return merged.stdout.text.strip() or await _commit(checkout, remote)


async def _default_branch(request: WorkspaceRequest, checkout: Workspace) -> str:
    head = await git(checkout, "symbolic-ref", "--quiet", "--short", "HEAD")
    name = head.stdout.text.strip()
    if not name or await _commit(checkout, "HEAD") is None:
        raise WorkspaceError(
            ErrorCode.BRANCH_NOT_FOUND,
            f"{request.repository} has no commit on its default branch to start from.",
        )
    return name


async def _commit(checkout: Workspace, name: str) -> str | None:
    finished = await git(checkout, "rev-parse", "--quiet", "--verify", f"{name}^{{commit}}")
    return finished.stdout.text.strip() or None


async def _must(checkout: Workspace, *arguments: str) -> None:
    finished = await git(checkout, *arguments)
    if finished.exit_code != 0:
        said = finished.stderr.text.strip()[-500:]
        raise WorkspaceError(_code_of(said), f"git {arguments[0]} failed: {said}")


def _check_branch(*names: str | None) -> None:
    bad = re.compile(r"^[-/.]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|//|@\{|/\.|\.lock(/|$)|[/.]$|^@$")
    for name in names:
        if name is not None and bad.search(name):
            raise WorkspaceError(ErrorCode.INVALID_REQUEST, f"{name[:100]!r} is no branch name.")


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
