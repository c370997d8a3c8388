"""Numbers every event, keeps it on disk, and shows it to any number of readers.

A reader takes from the file at its own pace, so one that never reads costs the task nothing.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from pydantic import ValidationError

from bridge.protocol import (
    MAX_FRAME_BYTES,
    Event,
    FilesChanged,
    MessageTakenUp,
    MessageWritten,
    QuestionAnswered,
    QuestionAsked,
    ReasoningWritten,
    TaskFinished,
    TaskPaused,
    TaskResumed,
    TaskStarted,
    TaskUndone,
    ToolFinished,
    WorkspaceReadyEvent,
    parse_event,
    unreadable_event,
)
from bridge.state.journal import Journal

_log = logging.getLogger(__name__)

_DURABLE = (
    TaskStarted,
    MessageTakenUp,
    MessageWritten,
    ToolFinished,
    QuestionAsked,
    QuestionAnswered,
    TaskPaused,
    TaskResumed,
    TaskFinished,
    TaskUndone,
    WorkspaceReadyEvent,
)
_EVENT_BYTES = MAX_FRAME_BYTES - 1_024  # a frame is an event and a few words around it
_BATCH_BYTES = 262_144
_PASSING_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class EventFrame:
    """One event as it travels: `data` is its JSON. `seq` is 0 for one that is not stored."""

    seq: int
    kind: str
    task_id: str | None
    data: str


@dataclass(frozen=True, slots=True)
class _Passing:
    number: int
    after_seq: int
    frame: EventFrame


class EventLog:
    """Numbers events gaplessly from `base_seq` + 1 and keeps them in one file.

    Events at or before `base_seq` are those of an earlier bridge and are not here.
    `observe` gets every stored event once, in order: those of the file first.
    """

    def __init__(
        self,
        path: Path,
        observe: Callable[[Event], None] = lambda _event: None,
        *,
        base_seq: int = 0,
    ) -> None:
        self.base_seq = base_seq
        self._journal = Journal(path)
        self._observe = observe
        self._passing: deque[_Passing] = deque()
        self._passing_bytes = 0
        self._passed = 0
        self._followers = 0
        self._changed = asyncio.Event()
        self.closed = False
        for event in self._replay():
            observe(event)

    @property
    def last_seq(self) -> int:
        """The number of the newest event, here or before the base; 0 when there is none."""
        return self.base_seq + len(self._journal)

    @property
    def is_empty(self) -> bool:
        """Checks that nothing was ever stored here."""
        return not len(self._journal)

    def start_after(self, seq: int) -> None:
        """Numbers from `seq` + 1; only for a log that is empty."""
        if not self.is_empty:
            raise ValueError("the log has numbers already")
        self.base_seq = seq

    async def record(self, event: Event) -> Event:
        """Numbers and stores the event, and returns it numbered.

        Returns when a fact that somebody may act upon is on the disk; smaller facts follow with
        the next of those. Raises BridgeError when the disk is full.
        """
        numbered, data = _encode(event.model_copy(update={"seq": self.last_seq + 1}))
        self._journal.append(data)
        self._observe(numbered)
        self._wake()
        if isinstance(numbered, _DURABLE):
            await self._journal.sync()
        return numbered

    def broadcast(self, event: Event) -> None:
        """Shows an event to the readers of now; it is not stored, and a slow one may miss it."""
        if not self._followers:
            return
        frame = _frame(_encode(event)[1])
        self._passed += 1
        self._passing.append(_Passing(self._passed, self.last_seq, frame))
        self._passing_bytes += len(frame.data)
        while self._passing_bytes > _PASSING_BYTES:
            self._passing_bytes -= len(self._passing.popleft().frame.data)
        self._wake()

    def follow(self, after: int) -> "Follower":
        """Returns a reader of everything after number `after`. Use it as a context."""
        return Follower(self, after)

    def end_readers(self) -> None:
        """Ends every reader; events can still be recorded."""
        self.closed = True
        self._wake()

    def close(self) -> None:
        """Ends all readers and closes the file; nothing is recorded any more."""
        self.end_readers()
        self._journal.close()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _replay(self) -> Iterator[Event]:
        position = 0
        while lines := self._journal.read(position):
            for number, line in enumerate(lines, self.base_seq + position + 1):
                try:
                    yield parse_event(line)
                except (
                    ValidationError
                ):  # an earlier bridge wrote it, and took what this one refuses
                    _log.exception("event %d cannot be read", number)
                    yield unreadable_event(number)
            position += len(lines)


class Follower:
    """One reader of the log, and the number that it has come to."""

    def __init__(self, log: EventLog, after: int) -> None:
        self._log = log
        self._seq = after
        self._passed = log._passed  # noqa: SLF001  (the two classes are one thing in two parts)

    def __enter__(self) -> "Follower":
        self._log._followers += 1  # noqa: SLF001  (as above)
        return self

    def __exit__(self, *_: object) -> None:
        self._log._followers -= 1  # noqa: SLF001  (as above)

    async def next(self, wait_seconds: float) -> list[EventFrame]:
        """Returns the next frames in order; none when the time is over or the log is closed."""
        try:
            async with asyncio.timeout(wait_seconds):
                while not self._log.closed:
                    changed = self._log._changed  # noqa: SLF001  (as above)
                    if frames := self._take():
                        return frames
                    await changed.wait()
        except TimeoutError:
            pass
        return []

    def _take(self) -> list[EventFrame]:
        log = self._log
        self._seq = max(self._seq, log.base_seq)
        stored = log._journal.read(self._seq - log.base_seq, _BATCH_BYTES)  # noqa: SLF001  (as above)
        newer = takewhile(lambda item: item.number > self._passed, reversed(log._passing))  # noqa: SLF001  (as above)
        passing = list(newer)
        frames: list[EventFrame] = []
        for line in (*stored, None):
            while passing and passing[-1].after_seq <= self._seq:
                item = passing.pop()
                self._passed = item.number
                if item.after_seq == self._seq:  # else the stored event has overtaken it
                    frames.append(item.frame)
            if line is not None:
                frames.append(_frame(line))
                self._seq += 1
        return frames


def _frame(line: bytes) -> EventFrame:
    fields = json.loads(line)
    return EventFrame(fields["seq"], fields["type"], fields["task_id"], line.decode())


def _encode(event: Event) -> tuple[Event, bytes]:
    data = event.model_dump_json().encode()
    while len(data) > _EVENT_BYTES:
        event = _halve(event)
        data = event.model_dump_json().encode()
    return event, data


def _halve(event: Event) -> Event:
    match event:
        case MessageWritten() | ReasoningWritten():
            return event.model_copy(update={"text": event.text[: len(event.text) // 2]})
        case FilesChanged():
            return event.model_copy(update={"files": event.files[: len(event.files) // 2]})
        case ToolFinished():
            kept = event.files_touched[: len(event.files_touched) // 2]
            return event.model_copy(update={"files_touched": kept})
        case _:
            raise ValueError(f"an event of type {type(event).__name__} is too large to send")
