"""Server-sent events read from chunks, in bounded memory whatever the chunks hold."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_LINE_END = re.compile(rb"[\r\n]")


@dataclass(frozen=True, slots=True)
class SseFrame:
    """One event of the stream; `data` is None when it was larger than the bound."""

    id: str
    event: str
    data: bytes | None


class SseFrames:
    """Cuts the stream into frames; lines may end in LF, CR or CRLF, chunks anywhere."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._line = bytearray()
        self._after_cr = False
        self._reset()

    def _reset(self) -> None:
        self._id = ""
        self._event = ""
        self._data: list[bytes] = []
        self._size = 0
        self._too_large = False

    def feed(self, chunk: bytes) -> Iterator[SseFrame]:
        """Take the next bytes; give the frames that they complete."""
        position = 0
        if self._after_cr and chunk:
            self._after_cr = False
            position = 1 if chunk.startswith(b"\n") else 0
        while position < len(chunk):
            found = _LINE_END.search(chunk, position)
            self._append(chunk[position : found.start() if found else len(chunk)])
            if found is None:
                return
            position = found.end()
            if found.group() == b"\r":
                if position == len(chunk):
                    self._after_cr = True
                elif chunk[position : position + 1] == b"\n":
                    position += 1
            line = bytes(self._line)
            self._line.clear()
            if line:
                self._field(line)
            elif self._data or self._too_large:
                yield self._frame()
            else:
                self._reset()

    def _append(self, part: bytes) -> None:
        room = self._max_bytes + 64 - len(self._line)  # 64: the field's name, and then some
        if len(part) > room:
            self._too_large = True
        self._line += part[: max(room, 0)]

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._size += len(value) + 1
                if self._size > self._max_bytes:
                    self._too_large = True
                    self._data.clear()
                if not self._too_large:
                    self._data.append(value)
            case b"id":
                self._id = value[:100].decode(errors="replace")
            case b"event":
                self._event = value[:100].decode(errors="replace")
            case _:
                pass  # a comment, or a field that we have no use for

    def _frame(self) -> SseFrame:
        data = None if self._too_large else b"\n".join(self._data)
        frame = SseFrame(self._id, self._event, data)
        self._reset()
        return frame
