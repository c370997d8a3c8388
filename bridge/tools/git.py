"""Tools that show the state, the changes and the history of the checkout."""

import re
from enum import StrEnum

from pydantic import Field

from bridge.errors import ToolError, WorkspaceError
from bridge.process.command import Limit, Output, StartError
from bridge.text import count, printed, shown
from bridge.tools.base import Arguments, Tool, ToolContext, ToolResult
from bridge.workspace.diff import read_diff
from bridge.workspace.git import DIFF_OPTIONS, git

MAX_TEXT_BYTES = 40_000
_LIMIT = Limit(MAX_TEXT_BYTES, 0)
_STAT = re.compile(r"^ (\d+) files? changed(?:, (\d+) ins\S+)?(?:, (\d+) del\S+)?$", re.MULTILINE)


class DiffScope(StrEnum):
    """The sides that git_diff can compare."""

    UNSTAGED = "unstaged"
    STAGED = "staged"
    SOURCE = "source"


class GitStatus(Arguments):
    """Arguments of git_status."""


class GitDiff(Arguments):
    """Arguments of git_diff."""

    scope: DiffScope = Field(
        default=DiffScope.SOURCE,
        description=(
            "source: everything against the branch the work started from, new files included; "
            "unstaged: worktree against index; staged: index against HEAD."
        ),
    )
    path: str | None = Field(default=None, description="Only this file or directory.")


class GitLog(Arguments):
    """Arguments of git_log."""

    limit: int = Field(default=20, ge=1, le=200)
    path: str | None = Field(default=None, description="Only commits that touch this.")


async def _status(context: ToolContext, _arguments: GitStatus) -> ToolResult:
    output = await _git(
        context, "status", "--short", "--branch", "--ignore-submodules=dirty", "--untracked-files"
    )
    text = _text(output)
    changed = sum(not line.startswith("##") for line in text.splitlines())
    summary = count(changed, "change") if changed else "clean"
    return ToolResult(text if changed else f"{text}\nNothing to commit.", summary)


async def _diff(context: ToolContext, arguments: GitDiff) -> ToolResult:
    path = None if arguments.path is None else context.workspace.relative(arguments.path)
    if arguments.scope is DiffScope.SOURCE:
        return await _diff_to_source(context, path)
    staged = ("--cached",) if arguments.scope is DiffScope.STAGED else ()
    output = await _git(
        context, "diff", *staged, *DIFF_OPTIONS, "--stat=120", "--patch", "--", *_only(path)
    )
    if not output.head:
        hint = " New files are not part of it." if arguments.scope is DiffScope.UNSTAGED else ""
        return ToolResult(f"No {arguments.scope} changes.{hint}", "no changes")
    text = _text(output)
    numbers = _STAT.search(text)
    files, added, removed = (int(part or 0) for part in numbers.groups()) if numbers else (0, 0, 0)
    return ToolResult(text, _changed(files, added, removed))


async def _diff_to_source(context: ToolContext, path: str | None) -> ToolResult:
    try:
        changes = await read_diff(context.workspace, context.base_commit, MAX_TEXT_BYTES, path=path)
    except WorkspaceError as error:
        raise ToolError(error.message) from error
    files = [
        file
        for file in changes.files
        if path in (None, ".", file.path) or file.path.startswith(f"{path}/")
    ]
    if not files:
        return ToolResult("No changes against the source branch.", "no changes")
    listed = [
        f"{file.status:>9}  {shown(file.path)}  +{file.added} -{file.removed}" for file in files
    ]
    if len(listed) > _MAX_LISTED:
        listed[_MAX_LISTED:] = [f"… and {len(listed) - _MAX_LISTED} more files"]
    cut = "\n… cut here: give a path to see the rest." if changes.truncated else ""
    summary = _changed(len(files), sum(f.added for f in files), sum(f.removed for f in files))
    return ToolResult("\n".join([*listed, "", printed(changes.text)]) + cut, summary)


_MAX_LISTED = 200


async def _log(context: ToolContext, arguments: GitLog) -> ToolResult:
    path = None if arguments.path is None else context.workspace.relative(arguments.path)
    output = await _git(
        context,
        *("log", f"--max-count={arguments.limit}", "--date=short", "--no-show-signature"),
        *("--no-ext-diff", "--no-textconv", "--format=%h %ad %an: %s%d", "--", *_only(path)),
    )
    text = _text(output)
    if not text:
        return ToolResult("No commits.", "no commits")
    return ToolResult(text, count(text.count("\n") + 1, "commit"))


async def _git(context: ToolContext, *arguments: str) -> Output:
    try:
        finished = await git(context.workspace, *arguments, limit=_LIMIT)
    except StartError as error:
        raise ToolError(f"git could not start. {error}") from error
    if finished.timed_out:
        raise ToolError(f"git {arguments[0]} took too long.")
    if finished.exit_code != 0:
        stderr = printed(finished.stderr.text).strip()[:1_000]
        raise ToolError(f"git {arguments[0]} failed: {stderr}")
    return finished.stdout


def _only(path: str | None) -> tuple[str, ...]:
    return () if path is None else (path,)


def _text(output: Output) -> str:
    text = printed(output.head.decode(errors="replace")).rstrip("\n")
    return f"{text}\n… {output.cut_bytes} bytes cut …" if output.cut_bytes else text


def _changed(files: int, added: int, removed: int) -> str:
    return f"{count(files, 'file')}, +{added} −{removed}"  # noqa: RUF001  (a minus sign, for people)


GIT_STATUS = Tool(
    name="git_status",
    description="Show the branch and which files are changed, staged or new.",
    arguments=GitStatus,
    run=_status,
    target=lambda _arguments: "",
)
GIT_DIFF = Tool(
    name="git_diff",
    description="Show changes as a diff: by default everything since the source branch.",
    arguments=GitDiff,
    run=_diff,
    target=lambda arguments: f"{arguments.scope} {shown(arguments.path or '')}".rstrip(),
)
GIT_LOG = Tool(
    name="git_log",
    description="List the latest commits, newest first.",
    arguments=GitLog,
    run=_log,
    target=lambda arguments: shown(arguments.path or ""),
)
