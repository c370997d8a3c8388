"""The branch that the agent works on, and the commit that its changes are told against."""

import re

from bridge.errors import WorkspaceError
from bridge.protocol import ErrorCode, WorkspaceRequest
from bridge.workspace.filesystem import TEMPORARY_PREFIX, Workspace
from bridge.workspace.git import failure_code, git, git_at

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


def check_names(*names: str | None) -> None:
    """Raise WorkspaceError for a name that git would not take, or would take for an option."""
    bad = re.compile(r"^[-/.]|[\x00-\x20\x7f~^:?*\[\\]|\.\.|//|@\{|/\.|\.lock(/|$)|[/.]$|^@$")
    for name in names:
        if name is not None and bad.search(name):
            raise WorkspaceError(ErrorCode.INVALID_REQUEST, f"{name[:100]!r} is no branch name.")


async def set_up(request: WorkspaceRequest, checkout: Workspace) -> tuple[str, str]:
    """Create the target branch and set who commits; gives the source branch and the base.

    A base commit of the request has to be in the checkout already. Raises WorkspaceError.
    """
    source = request.source_branch or await _default_branch(request, checkout)
    remote_source = await commit(checkout, f"refs/remotes/origin/{source}")
    if remote_source is None:
        raise WorkspaceError(
            ErrorCode.BRANCH_NOT_FOUND, f"{request.repository} has no branch {source}."
        )
    target = request.target_branch
    start = request.base_commit
    if start is None:
        start = await commit(checkout, f"refs/remotes/origin/{target}") or remote_source
    await _must(checkout, "checkout", "--quiet", "--no-track", "-B", target, start)
    for key, value in (
        ("user.name", request.author_name),
        ("user.email", request.author_email),
        ("threadsmith.repository", request.repository),
        ("threadsmith.source", source),
        ("threadsmith.target", target),
    ):
        await _must(checkout, "config", "--local", "--", key, value)
    if request.base_commit is not None:
        await _must(checkout, "config", "--local", "--", "threadsmith.base", request.base_commit)
    info = checkout.root / ".git" / "info"
    info.mkdir(exist_ok=True)
    with (info / "exclude").open("a") as exclude:
        exclude.write(f"{TEMPORARY_PREFIX}*\n")
    return source, request.base_commit or await base_of(checkout, source, target) or start


async def begin_empty(checkout: Workspace) -> None:
    """Make a repository whose `main` holds one empty commit, with the same id each time.

    Its remote has no address: nothing can be fetched or pushed. Raises WorkspaceError.
    """
    await _must(checkout, "init", "--quiet", "--template=", "--initial-branch=main")
    made = await git_at(
        checkout.root,
        *("commit-tree", "-m", "An empty workspace", _EMPTY_TREE),
        extra_environment=_NOBODY,
    )
    for name in ("refs/heads/main", "refs/remotes/origin/main"):
        await _must(checkout, "update-ref", name, made.stdout.text.strip())


async def base_of(checkout: Workspace, source: str, target: str) -> str | None:
    """Where the target branch left the source branch; its tip where they share no history."""
    remote = f"refs/remotes/origin/{source}"
    merged = await git(checkout, "merge-base", f"refs/heads/{target}", remote)
    return merged.stdout.text.strip() or await commit(checkout, remote)


async def _default_branch(request: WorkspaceRequest, checkout: Workspace) -> str:
    head = await git(checkout, "symbolic-ref", "--quiet", "--short", "HEAD")
    name = head.stdout.text.strip()
    if not name or await commit(checkout, "HEAD") is None:
        raise WorkspaceError(
            ErrorCode.BRANCH_NOT_FOUND,
            f"{request.repository} has no commit on its default branch to start from.",
        )
    return name


async def commit(checkout: Workspace, name: str) -> str | None:
    """The full id of the commit that a name stands for; None when there is none."""
    finished = await git(checkout, "rev-parse", "--quiet", "--verify", f"{name}^{{commit}}")
    return finished.stdout.text.strip() or None


async def _must(checkout: Workspace, *arguments: str) -> None:
    finished = await git(checkout, *arguments)
    if finished.exit_code != 0:
        said = finished.stderr.text.strip()[-500:]
        raise WorkspaceError(failure_code(said), f"git {arguments[0]} failed: {said}")


async def commit_all(checkout: Workspace, message: str) -> None:
    """Make what is not committed yet one commit, if there is any; raises WorkspaceError."""
    await _must(checkout, "add", "--all")
    if (await git(checkout, "diff", "--cached", "--quiet")).exit_code != 0:
        named = ("--no-verify", "--no-gpg-sign", "--message", message)
        await _must(checkout, "commit", "--quiet", *named)
