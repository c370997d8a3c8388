"""Reads server-sent events from chunks, in bounded memory, and puts them into one sequence:
each number once, in order, with none missing unnoticed.
"""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from bot.domain.bounded_json import CostlyJsonError, check_json
from bot.errors import BridgeUnreachable
from bridge.protocol import (
    AgentEvent,
    TextDelta,
    ToolOutput,
    UnknownEvent,
    parse_event,
    unreadable_event,
)

# Events that are never stored carry no number.
_PASSING = (TextDelta, ToolOutput, UnknownEvent)
_MOST_VALUES = 50_000  # the changes of thousands of files have most
_LINE_END = re.compile(rb"[\r\n]")


_log = logging.getLogger(__name__)


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
        """Takes the next bytes; yields the frames that they complete."""
        position = 0
        if self._after_cr and chunk:
            self._after_cr = False
            position = 1 if chunk.startswith(b"\n") else 0
        while position < len(chunk):
            match = _LINE_END.search(chunk, position)
            self._append(chunk[position : match.start() if match else len(chunk)])
            if match is None:
                return
            position = match.end()
            if match.group() == b"\r":
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


class GapError(Exception):
    """A number was skipped: the stream must be asked again from the last good one."""


class EventSequence:
    """Checks the numbers of one bridge's events, and counts its unreadable frames."""

    def __init__(self, last_seq: int, max_invalid: int, max_gaps: int) -> None:
        self.last_seq = last_seq
        self._max_invalid = max_invalid
        self._max_gaps = max_gaps
        self._invalid = 0
        self._gaps = 0

    def take_frame(self, frame: SseFrame) -> AgentEvent | None:
        """Returns the frame's event if it is a new one.

        An unreadable one comes as an UnknownEvent of type `invalid_event` if its frame tells its
        number, so that the numbers stay whole. Raises GapError; BridgeUnreachable when too much
        is unreadable, or a gap stays after it was asked for again.
        """
        event = self._read(frame)
        if event is None:
            return None
        if event.seq == 0:
            return event
        if event.seq <= self.last_seq:
            return None
        if event.seq > self.last_seq + 1:
            self._gaps += 1
            text = f"event {self.last_seq + 1} is missing, {event.seq} came"
            if self._gaps > self._max_gaps:
                raise BridgeUnreachable(f"{text}; {self._gaps} times in a row")
            raise GapError(text)
        self.last_seq = event.seq
        self._gaps = 0
        return event

    def _read(self, frame: SseFrame) -> AgentEvent | None:
        reason = "the frame is too large"
        if frame.data is not None:
            try:
                check_json(frame.data, _MOST_VALUES)
                event = parse_event(frame.data)
            except CostlyJsonError as error:
                reason = str(error)
            except ValidationError as error:
                # Without the input: it is the container's, and may be huge.
                first = error.errors(include_input=False, include_url=False)[0]
                reason = f"{first['type']} at {first['loc']}"[:200]
            else:
                if event.seq > 0 or (event.seq == 0 and isinstance(event, _PASSING)):
                    return event
                reason = f"{event.type[:64]} with the number {event.seq}"
        self._invalid += 1
        _log.warning("invalid frame %d of a bridge: %s", self._invalid, reason)
        if self._invalid > self._max_invalid:
            raise BridgeUnreachable(f"{self._invalid} invalid frames; the last: {reason}")
        if frame.id.isascii() and frame.id.isdigit() and int(frame.id) == self.last_seq + 1:
            return unreadable_event(self.last_seq + 1)
        return None
