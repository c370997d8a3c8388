"""The tool that replaces an exact piece of a file."""

import asyncio
import difflib

from pydantic import Field

from bridge.errors import ToolError
from bridge.text import count, shown
from bridge.tools.base import Arguments, Tool, ToolContext, ToolResult
from bridge.tools.files import encoded, read_text

_PLACES_NAMED = 10
_HINT_CHARS = 200
_COMPARED_LINES = 20_000


class EditFile(Arguments):
    """Arguments of edit_file."""

    path: str = Field(description="File, relative to the workspace.")
    old_text: str = Field(description="The text to replace, exactly as in the file.")
    new_text: str = Field(description="What to put in its place.")
    replace_all: bool = Field(default=False, description="Replace every occurrence.")


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
    found = text.count(old)
    if not found:
        raise ToolError(f"old_text is not in {shown(path)}.{_nearest(text, arguments.old_text)}")
    lines = _lines_of(text, old)
    if found > 1 and not arguments.replace_all:
        raise ToolError(
            f"old_text is in {shown(path)} {found} times (lines {', '.join(map(str, lines))}"
            f"{', …' if found > len(lines) else ''}). Give more of the text around the one you "
            "mean, or set replace_all."
        )
    changed = text.replace(old, new)
    context.workspace.write_bytes(path, changed.encode(errors="surrogateescape"))
    places = count(found, "place")
    return ToolResult(
        f"Replaced {places} in {shown(path)} (line {', '.join(map(str, lines))}).",
        f"{places}, {_difference(arguments)}",
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
    """A hint at the line that is most like the first line of what was looked for."""
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
