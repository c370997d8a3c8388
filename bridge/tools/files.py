"""Tools that read, write, edit and list the files of the workspace."""

import asyncio
import difflib
import itertools
from collections.abc import Iterator
from contextlib import suppress
from typing import assert_never

from pydantic import Field

from bridge.errors import ToolError
from bridge.text import count, shown, size
from bridge.tools.base import Arguments, Tool, ToolContext, ToolResult
from bridge.workspace.filesystem import DirectoryEntry, Workspace

MAX_READ_FILE_BYTES = 10_000_000
MAX_WRITE_BYTES = 5_000_000
MAX_READ_LINES = 1_000
MAX_READ_CHARS = 40_000
MAX_LINE_CHARS = 2_000
MAX_ENTRIES = 500
_PLACES_NAMED = 10
_HINT_CHARS = 200
_COMPARED_LINES = 20_000
_NOT_DESCENDED = frozenset({"node_modules", ".venv", "venv", "__pycache__", ".tox", ".mypy_cache"})


class ReadFile(Arguments):
    """Arguments of read_file."""

    path: str = Field(description="File, relative to the workspace.")
    start_line: int = Field(default=1, ge=1, description="First line, counted from 1.")
    end_line: int | None = Field(default=None, ge=1, description="Last line, included.")


class WriteFile(Arguments):
    """Arguments of write_file."""

    path: str = Field(description="File, relative to the workspace.")
    content: str = Field(description="The whole new content.")


class EditFile(Arguments):
    """Arguments of edit_file."""

    path: str = Field(description="File, relative to the workspace.")
    old_text: str = Field(description="The text to replace, exactly as in the file.")
    new_text: str = Field(description="What to put in its place.")
    replace_all: bool = Field(default=False, description="Replace every occurrence.")


class ListDirectory(Arguments):
    """Arguments of list_directory."""

    path: str = Field(default=".", description="Directory, relative to the workspace.")
    depth: int = Field(default=1, ge=1, le=5, description="Levels to list.")


def read_text(workspace: Workspace, path: str) -> str:
    """Reads text, undecodable bytes as lone surrogates; raises ToolError for a binary file."""
    data = workspace.read_bytes(path, MAX_READ_FILE_BYTES)
    if b"\0" in data[:8_192]:
        raise ToolError(
            f"{path[:300]} is a binary file ({size(len(data))}); read_file shows text only."
        )
    return data.decode(errors="surrogateescape")


def encoded(text: str) -> bytes:
    """Returns text as the bytes of a file; raises ToolError for what is no character."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ToolError("The text holds a lone surrogate, which no file can hold.") from error


async def _read(context: ToolContext, arguments: ReadFile) -> ToolResult:
    text = await asyncio.to_thread(read_text, context.workspace, arguments.path)
    lines = text.removesuffix("\n").split("\n") if text else []
    first, last = arguments.start_line, min(arguments.end_line or len(lines), len(lines))
    path = shown(arguments.path)
    if not lines:
        return ToolResult(f"{path} is empty.", "empty")
    if first > len(lines) or last < first:
        raise ToolError(
            f"{path} has {count(len(lines), 'line')}; there are no lines {first} to "
            f"{arguments.end_line or 'the end'}."
        )
    body, reached = _numbered(lines, first, last)
    note = ""
    if reached < last:
        note = f"\n… cut after line {reached} of {len(lines)}: go on with start_line={reached + 1}."
    elif reached < len(lines):
        note = f"\n… {count(len(lines) - reached, 'more line')} after this."
    readable = body.encode(errors="surrogateescape").decode(errors="replace")
    if readable != body:
        note += "\n(The file is not UTF-8: undecodable bytes are shown as \ufffd.)"
    return ToolResult(readable + note, f"lines {first}\u2013{reached} of {len(lines)}")


def _numbered(lines: list[str], first: int, last: int) -> tuple[str, int]:
    """Returns the lines with their numbers, and the number of the last one that had room."""
    shown_lines: list[str] = []
    used = 0
    for number in range(first, min(last, first + MAX_READ_LINES - 1) + 1):
        line = lines[number - 1].removesuffix("\r")
        if len(line) > MAX_LINE_CHARS:
            line = f"{line[:MAX_LINE_CHARS]} … {len(line) - MAX_LINE_CHARS} characters cut …"
        used += len(line) + 8
        if used > MAX_READ_CHARS and shown_lines:
            return "\n".join(shown_lines), number - 1
        shown_lines.append(f"{number:>6}\t{line}")
    return "\n".join(shown_lines), first + len(shown_lines) - 1


async def _write(context: ToolContext, arguments: WriteFile) -> ToolResult:
    data = encoded(arguments.content)
    if len(data) > MAX_WRITE_BYTES:
        raise ToolError(f"The content is larger than {size(MAX_WRITE_BYTES)}.")
    new = await asyncio.to_thread(context.workspace.write_bytes, arguments.path, data)
    path = context.workspace.relative(arguments.path)
    lines = count(len(arguments.content.splitlines()), "line")
    what = "new file" if new else "replaced"
    return ToolResult(
        f"Wrote {path} ({what}, {lines}, {size(len(data))}).",
        f"{what}, {lines}",
        files_touched=(path,),
    )


async def _edit(context: ToolContext, arguments: EditFile) -> ToolResult:
    return await asyncio.to_thread(_edited, context, arguments)


def _edited(context: ToolContext, arguments: EditFile) -> ToolResult:
    path, old, new = arguments.path, arguments.old_text, arguments.new_text
    if not old:
        raise ToolError("old_text is empty. To write a whole file use write_file.")
    if old == new:
        raise ToolError("old_text and new_text are the same: there is nothing to change.")
    encoded(old + new)
    text = read_text(context.workspace, path)
    if "\r\n" in text and "\r\n" not in old:
        # read_file shows such a file without its carriage returns.
        old, new = old.replace("\n", "\r\n"), new.replace("\r\n", "\n").replace("\n", "\r\n")
    occurrences = text.count(old)
    if not occurrences:
        raise ToolError(f"old_text is not in {shown(path)}.{_nearest(text, arguments.old_text)}")
    lines = _lines_of(text, old)
    if occurrences > 1 and not arguments.replace_all:
        raise ToolError(
            f"old_text is in {shown(path)} {occurrences} times (lines {', '.join(map(str, lines))}"
            f"{', …' if occurrences > len(lines) else ''}). Give more of the text around the one "
            "you mean, or set replace_all."
        )
    changed = text.replace(old, new)
    context.workspace.write_bytes(path, changed.encode(errors="surrogateescape"))
    summary = count(occurrences, "place")
    return ToolResult(
        f"Replaced {summary} in {shown(path)} (line {', '.join(map(str, lines))}).",
        f"{summary}, {_difference(arguments)}",
        files_touched=(context.workspace.relative(path),),
    )


def _lines_of(text: str, piece: str) -> list[int]:
    lines: list[int] = []
    position = text.find(piece)
    while position >= 0 and len(lines) < _PLACES_NAMED:
        lines.append(text.count("\n", 0, position) + 1)
        position = text.find(piece, position + len(piece))
    return lines


def _nearest(text: str, old: str) -> str:
    """Returns a hint at the line that is most like the first line of the missing text."""
    wanted = next((line.strip() for line in old.split("\n") if line.strip()), "")[:_HINT_CHARS]
    lines = [line.strip()[:_HINT_CHARS] for line in text.split("\n")[:_COMPARED_LINES]]
    if wanted in lines:
        return (
            f" Its first line is there, at line {lines.index(wanted) + 1}, but with other white "
            "space or other lines after it. Read the file again."
        )
    best = difflib.get_close_matches(wanted, dict.fromkeys(lines), n=1, cutoff=0.6)
    if not best:
        return " Read the file again, or look for it with search_files."
    return f" The nearest line is {lines.index(best[0]) + 1}: {shown(best[0])}"


def _difference(arguments: EditFile) -> str:
    added, removed = (text.count("\n") + 1 for text in (arguments.new_text, arguments.old_text))
    return f"+{added} −{removed}"  # noqa: RUF001  (a minus sign, for people)


async def _list(context: ToolContext, arguments: ListDirectory) -> ToolResult:
    return await asyncio.to_thread(_listed, context.workspace, arguments)


def _listed(workspace: Workspace, arguments: ListDirectory) -> ToolResult:
    lines = list(
        itertools.islice(
            _entry_lines(workspace, workspace.relative(arguments.path), arguments.depth),
            MAX_ENTRIES + 1,
        )
    )
    if not lines:
        return ToolResult(f"{shown(arguments.path)} is empty.", "empty")
    summary = count(len(lines), "entry", "entries")
    if len(lines) > MAX_ENTRIES:
        summary = f"more than {MAX_ENTRIES} entries"
        lines[-1] = f"… cut after {MAX_ENTRIES} entries: list a directory further down."
    return ToolResult("\n".join(lines), summary)


def _entry_lines(workspace: Workspace, path: str, depth: int, level: int = 0) -> Iterator[str]:
    entries = [entry for entry in workspace.entries(path) if entry.name != ".git"]
    for entry in sorted(entries, key=lambda entry: (entry.kind != "directory", entry.name)):
        yield "  " * level + _described(entry)
        if entry.kind != "directory" or level + 1 >= depth or entry.name in _NOT_DESCENDED:
            continue
        # A directory further down that cannot be read does not spoil the listing.
        with suppress(ToolError):
            yield from _entry_lines(workspace, f"{path}/{entry.name}", depth, level + 1)


def _described(entry: DirectoryEntry) -> str:
    name = shown(entry.name)
    match entry.kind:
        case "directory":
            return f"{name}/"
        case "file":
            return f"{name}  {size(entry.size_bytes or 0)}"
        case "link":
            return f"{name} -> {shown(entry.target or '')}"
        case "other":
            return f"{name}  (not a regular file)"
        case _:
            assert_never(entry.kind)


READ_FILE = Tool(
    name="read_file",
    description=(
        "Read a text file, with line numbers. Give start_line and end_line for a part of it; "
        f"at most {MAX_READ_LINES} lines come at once. The number and the tab before each line "
        "are not part of the file."
    ),
    arguments=ReadFile,
    run=_read,
    target=lambda arguments: (
        shown(arguments.path)
        if arguments.start_line == 1 and arguments.end_line is None
        else f"{shown(arguments.path)} {arguments.start_line}\u2013{arguments.end_line or ''}"
    ),
)
WRITE_FILE = Tool(
    name="write_file",
    description=(
        "Write a whole file, new or in place of the old one; missing directories are made. "
        "To change a part of a file use edit_file."
    ),
    arguments=WriteFile,
    run=_write,
    target=lambda arguments: shown(arguments.path),
)
EDIT_FILE = Tool(
    name="edit_file",
    description=(
        "Replace an exact piece of a file. old_text must be in the file exactly once, white space "
        "included, unless replace_all is set; give a few lines around the change to be sure."
    ),
    arguments=EditFile,
    run=_edit,
    target=lambda arguments: shown(arguments.path),
)
LIST_DIRECTORY = Tool(
    name="list_directory",
    description="List a directory: directories first, then files with their sizes.",
    arguments=ListDirectory,
    run=_list,
    target=lambda arguments: shown(arguments.path),
)
