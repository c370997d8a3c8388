"""The tool that searches the workspace with ripgrep."""

import asyncio
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from bridge.errors import ToolError
from bridge.process.command import Limit, StartError, environment, run
from bridge.text import count, printed, shown
from bridge.tools.base import Arguments, Tool, ToolContext, ToolResult
from bridge.workspace.filesystem import Workspace

MAX_MATCHES = 200
MAX_COLUMNS = 300
MAX_SEARCHED_FILE_BYTES = 20_000_000
MAX_TEXT_CHARS = 40_000
_LIMIT = Limit(2_000_000, 0)
_LINE = re.compile(rb"(\d+)([:-])(.*)", re.DOTALL)


class SearchFiles(Arguments):
    """Arguments of search_files."""

    pattern: str = Field(min_length=1, max_length=4_000, description="A regular expression.")
    path: str = Field(default=".", description="File or directory, relative to the workspace.")
    case_sensitive: bool = True
    glob: str | None = Field(
        default=None, min_length=1, max_length=500, description="Only these files, e.g. *.py"
    )
    context_lines: int = Field(default=0, ge=0, le=10, description="Lines around each match.")
    fixed_string: bool = Field(default=False, description="Take the pattern as plain text.")


@dataclass(slots=True)
class _Matches:
    """Collects ripgrep's matches, line by line, as the model will read them."""

    lines: list[str] = field(default_factory=list)
    files: int = 0
    total: int = 0
    chars: int = 0

    @property
    def full(self) -> bool:
        return self.total >= MAX_MATCHES or self.chars >= MAX_TEXT_CHARS

    def add(self, path: str | None, line: str, *, match: bool) -> None:
        if path is not None:
            self.files += 1
            self.lines.append(path)
        self.total += match
        self.chars += len(line)
        self.lines.append(line)


async def _search(context: ToolContext, arguments: SearchFiles) -> ToolResult:
    # ripgrep starts in an open directory, so that no link leads to another one.
    with context.workspace.directory_of(arguments.path) as (directory, inside, name):
        try:
            finished = await run(
                _command(arguments, name),
                # `self` is the child here; another process's entry is closed to it, since the
                # bridge cannot be read by what it starts.
                cwd=Path(f"/proc/self/fd/{directory}"),
                env=environment(context.home),
                timeout_seconds=context.command_timeout_seconds,
                limit=_LIMIT,
                separate_stderr=True,
            )
        except StartError as error:
            raise ToolError(f"The search could not start. {error}") from error
    if finished.timed_out:
        raise ToolError("The search took too long. Narrow it with path or glob.")
    prefix = "" if inside == "." else f"{inside}/"
    matches, complete = await asyncio.to_thread(
        _read, finished.stdout.head, prefix, context.workspace
    )
    complete = complete and not finished.stdout.cut_bytes
    if not matches.total and finished.exit_code not in (0, 1):
        stderr = printed(finished.stderr.text).strip()[:1_000]
        raise ToolError(f"{stderr}\nFor plain text set fixed_string.")
    if not matches.total:
        return ToolResult("No matches.", "no matches")
    many = "" if complete else "more than "
    summary = (
        f"{many}{count(matches.total, 'match', 'matches')} in {many and 'at least '}"
        f"{count(matches.files, 'file')}"
    )
    note = "" if complete else "\n… cut here: narrow the pattern, path or glob."
    return ToolResult(f"{summary}\n" + "\n".join(matches.lines) + note, summary)


def _command(arguments: SearchFiles, name: str) -> list[str]:
    options = [
        "--no-config",
        "--no-follow",
        "--no-messages",
        "--color=never",
        "--no-heading",
        "--with-filename",
        "--line-number",
        "--null",
        "--sort=path",
        "--hidden",
        "--max-filesize=10M",
        f"--max-columns={MAX_COLUMNS}",
        f"--context={arguments.context_lines}",
        "--case-sensitive" if arguments.case_sensitive else "--ignore-case",
    ]
    if arguments.fixed_string:
        options.append("--fixed-strings")
    if name != ".":
        escaped = re.sub(r"([\\*?\[\]{}!])", r"\\\1", name)
        options += ["--max-depth=1", f"--glob=/{escaped}"]
    elif arguments.glob is not None:
        options.append(f"--glob={arguments.glob}")
    return ["rg", *options, "--glob=!.git", "-e", arguments.pattern, "--", "."]


def _read(output: bytes, prefix: str, workspace: Workspace) -> tuple[_Matches, bool]:
    """Groups `path NUL number:line` by file; False when there was more than fits.

    ripgrep says only where; the text of a line is read again by the way that cannot be led
    outside, since a link put in place while ripgrep walks could lead it there.
    """
    matches = _Matches()
    lines: list[bytes] = []
    current = b""
    for raw in output.split(b"\n"):
        path, nul, numbered = raw.partition(b"\0")
        parts = _LINE.fullmatch(numbered)
        if not nul or parts is None:
            if raw == b"--" and current:
                matches.lines.append("  --")
            continue
        match = parts[2] == b":"
        if matches.full and match:
            return matches, False
        new = path != current
        if new and matches.lines and matches.lines[-1] == "  --":
            matches.lines.pop()
        current = path
        name = prefix + os.fsdecode(path.removeprefix(b"./"))
        if new:
            lines = _lines(workspace, name)
        text = _line(lines, int(parts[1]))
        line = f"  {int(parts[1])}{':' if match else '-'} {text}"
        matches.add(shown(name) if new else None, line, match=match)
    return matches, True


def _lines(workspace: Workspace, path: str) -> list[bytes]:
    try:
        return workspace.read_bytes(path, MAX_SEARCHED_FILE_BYTES).split(b"\n")
    except ToolError:
        return []


def _line(lines: list[bytes], number: int) -> str:
    if number > len(lines):
        return "(the line could not be read)"
    line = lines[number - 1]
    cut = " …" if len(line) > MAX_COLUMNS else ""
    return printed(line[:MAX_COLUMNS].decode(errors="replace")) + cut


SEARCH_FILES = Tool(
    name="search_files",
    description=(
        "Search the contents of files with ripgrep; files that git ignores are left out. Results "
        "are grouped by file, with line numbers."
    ),
    arguments=SearchFiles,
    run=_search,
    target=lambda arguments: shown(arguments.pattern),
)
