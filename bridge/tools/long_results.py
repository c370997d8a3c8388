"""Keeps long tool results whole on the disk, and makes the tool that reads them again."""

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from bridge.errors import BridgeError, ToolError
from bridge.protocol import (
    MAX_SAVED_RESULT_CHARS,
    SavedResult,
)
from bridge.state.journal import Journal
from bridge.text import clean, cut_middle
from bridge.tools.base import Arguments, Tool, ToolContext, ToolResult

READ_RESULT = "read_result"
_MAX_KEPT_BYTES = 64 * 1_048_576
_READ_CHARS = 8_000


class KeptResults:
    """Stores the results that were too long for the conversation, by the id of their call."""

    def __init__(self, path: Path) -> None:
        self._journal = Journal(path)
        self._lines: dict[str, int] = {}
        self._bytes = 0
        number = 0
        while lines := self._journal.read(number):
            for line in lines:
                number += 1
                self._bytes += len(line)
                self._lines[json.loads(line)["call_id"]] = number

    def shortened(self, call_id: str, text: str, limit_chars: int) -> str:
        """Returns a result for the model: whole, or head and tail with a pointer to the middle.

        When the disk is full only the middle is lost, never the result.
        """
        if len(text) <= limit_chars:
            return text
        text = text[:MAX_SAVED_RESULT_CHARS]
        note = (
            f"\n[The result has {len(text)} characters; the middle is left out. "
            f'{READ_RESULT} with call_id "{call_id}" and offset reads any part of it.]'
        )
        if not self._store(call_id, text):
            note = "\n[The middle of this result is left out and was not kept.]"
        return cut_middle(text, max(limit_chars - len(note), 0)) + note

    def read(self, call_id: str, offset: int, limit_chars: int) -> tuple[str, int] | None:
        """Returns a part of a stored result, and the length of the whole; None if unknown."""
        number = self._lines.get(call_id)
        if number is None:
            return None
        text: str = json.loads(self._journal.read(number - 1, 1)[0])["text"]
        return text[offset : offset + limit_chars], len(text)

    def newest(self, limit_bytes: int) -> list[bytes]:
        """Returns the newest results that fit into so many bytes, as JSON objects, newest first."""
        newest: list[bytes] = []
        for number in sorted(self._lines.values(), reverse=True):
            line = self._journal.read(number - 1, 1)[0]
            limit_bytes -= len(line) + 1
            if limit_bytes < 0:
                break
            newest.append(line)
        return newest

    def import_saved(self, results: Sequence[SavedResult]) -> None:
        """Stores the results of an earlier bridge, given newest first; those known already stay."""
        for result in reversed(results):
            if result.call_id not in self._lines:
                self._store(result.call_id, result.text)

    def close(self) -> None:
        """Closes the file."""
        self._journal.close()

    def _store(self, call_id: str, text: str) -> bool:
        line = json.dumps({"call_id": call_id, "text": text}, separators=(",", ":")).encode()
        if self._bytes + len(line) > _MAX_KEPT_BYTES:
            return False
        try:
            self._lines[call_id] = self._journal.append(line)
        except BridgeError:
            return False
        self._bytes += len(line)
        return True


class ReadResult(Arguments):
    """The arguments of `read_result`; `offset` and `limit` are in characters."""

    call_id: str = Field(min_length=1, max_length=200)
    offset: int = Field(default=0, ge=0)
    limit: int = Field(default=4_000, ge=1, le=_READ_CHARS)


def read_result_tool(results: KeptResults) -> Tool[ReadResult]:
    """Makes the tool over these results. It runs in the bridge, where they lie."""

    async def run(_context: ToolContext, arguments: ReadResult) -> ToolResult:
        excerpt = results.read(arguments.call_id, arguments.offset, arguments.limit)
        if excerpt is None:
            raise ToolError(
                "No result is kept under this call_id. Only results that say so are kept, and not "
                "for ever: repeat the call if you need it."
            )
        part, total = excerpt
        if not part:
            raise ToolError(f"The result has {total} characters; offset lies behind its end.")
        end = arguments.offset + len(part)
        head = f"[characters {arguments.offset} to {end} of {total}]\n"
        return ToolResult(head + clean(part), f"characters {arguments.offset} to {end} of {total}")

    return Tool(
        name=READ_RESULT,
        description=(
            "Read a part of an earlier tool result that was shortened. The shortened result names "
            "its call_id. Prefer this to repeating a slow call."
        ),
        arguments=ReadResult,
        run=run,
        target=lambda arguments: f"{arguments.call_id} from {arguments.offset}",
    )
