"""Splits long markdown into messages: fences are closed and reopened, tables keep their head."""

import re
from collections.abc import Iterator, Sequence

from bot.domain.quoting import cut

# Slack refuses about 13,200 characters over all blocks of a message; this leaves room for
# a footer (reported for markdown blocks, and undocumented).
MAX_POST_CHARS = 11_000
_ROOM = 200
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
_BLANKS = " \t"


def split_markdown(text: str, limit: int = MAX_POST_CHARS) -> list[str]:
    """Returns markdown in parts of at most `limit` characters.

    A part ends at a line's end where it can. A code fence that is cut is closed, and opened again
    with its language in the next part; a table that is cut has its head row again there.
    """
    parts: list[str] = []
    current: list[str] = []
    size = 0
    for row, following, around in _marked(list(_rows(text, limit - _ROOM))):
        closing = [_closing(around[0])] if len(around) == 1 else []
        # The head of a table and the line below it stay together.
        needed = len(row) + 1 + (len(following) + 1 if _begins_table(row, following) else 0)
        if current and size + needed + sum(len(line) + 1 for line in closing) > limit:
            parts.append("\n".join([*current, *closing]))
            current = [line for line in around if len(line) < limit // 4]
            current = current if len(current) == len(around) else []
            size = sum(len(kept) + 1 for kept in current)
        current.append(row)
        size += len(row) + 1
    if current:
        parts.append("\n".join(current))
    return [part for part in parts if part.strip()]


def _marked(rows: Sequence[str]) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Yields each row, the next one, and the head that a part beginning with it needs.

    That is the opening of a code fence (one line), or the head of a table (two lines).
    """
    fence, head_at = "", 0
    head: Sequence[str] = ()
    for index, row in enumerate(rows):
        following = rows[index + 1] if index + 1 < len(rows) else ""
        if fence:
            yield row, following, (fence,)
        else:
            if head and "|" not in row:
                head = ()
            yield row, following, head if index > head_at + 1 else ()
            if not head and _begins_table(row, following):
                head, head_at = (row, following), index
        fence = _fence_after(fence, row)


def _begins_table(row: str, following: str) -> bool:
    return "|" in row and "|" in following and _is_delimiter_row(following)


def _is_delimiter_row(row: str) -> bool:
    """Checks for the line below a table's head: `| --- | :-: |`, with or without outer bars.

    It is read cell by cell, each character a fixed number of times.
    """
    cells = row.strip(_BLANKS).removeprefix("|").removesuffix("|").split("|")
    return all(map(_is_delimiter, cells))


def _is_delimiter(cell: str) -> bool:
    dashes = cell.strip(_BLANKS).removeprefix(":").removesuffix(":")
    return bool(dashes) and not dashes.strip("-")


def _rows(text: str, limit: int) -> Iterator[str]:
    for row in text.split("\n"):
        for start in range(0, max(len(row), 1), limit):
            yield row[start : start + limit]


def _fence_after(fence: str, row: str) -> str:
    match = _FENCE.match(row)
    if match is None:
        return fence
    if not fence:
        return cut(row.strip(), 60)
    closes = match[1].startswith(_closing(fence)) and not match[2].strip()
    return "" if closes else fence


def _closing(fence: str) -> str:
    match = _FENCE.match(fence)
    return match[1] if match else "```"
