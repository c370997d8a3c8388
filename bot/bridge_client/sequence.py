"""Frames into events: each number once, in order, with none missing unnoticed."""

import logging

from pydantic import ValidationError

from bot.bridge_client.events import SseFrame
from bot.errors import BridgeUnreachable
from bridge.protocol import AgentEvent, TextDelta, ToolOutput, UnknownEvent, parse_event

# What is never stored carries no number.
_PASSING = (TextDelta, ToolOutput, UnknownEvent)

_log = logging.getLogger(__name__)


class GapError(Exception):
    """A number was skipped: the stream must be asked again from the last good one."""


class EventSequence:
    """Remembers the last number that was handed on, and counts the nonsense of one bridge."""

    def __init__(self, last_seq: int, max_invalid: int, max_gaps: int) -> None:
        self.last_seq = last_seq
        self._max_invalid = max_invalid
        self._max_gaps = max_gaps
        self._invalid = 0
        self._gaps = 0

    def take(self, frame: SseFrame) -> AgentEvent | None:
        """Return the frame's event if it is a new one.

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
                event = parse_event(frame.data)
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
            return UnknownEvent(seq=self.last_seq + 1, type="invalid_event")
        return None
