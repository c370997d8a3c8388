"""Structured logs: one JSON object a line, ids from the Slack event to the tool call, no secret."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

from bot.redaction import Redactor

_scope: ContextVar[dict[str, str] | None] = ContextVar("scope", default=None)

# These libraries log each call: addresses that are capabilities, and what people type into forms.
_NOISY = (
    "aiohttp.access", "aiosqlite", "alembic", "docker", "slack_bolt", "slack_sdk", "sqlalchemy",
    "urllib3",
)  # fmt: skip
MAX_LOGGED_CHARS = 8_000

# Lines that a container can cause: of each agent so many a minute, then a count.
_CAUSED_BY_AGENTS = ("aiohttp.server", "asyncio", "bot.bridge_client", "bot.gateway")
LINES_A_MINUTE = 10
_MINUTE_SECONDS = 60.0
# aiohttp's errors about what it read; their texts and tracebacks are the sender's bytes.
_BAD_REQUEST_ERRORS = "aiohttp.http_exceptions"


@contextmanager
def log_scope(**ids: str | None) -> Iterator[None]:
    """Adds ids (`agent`, `event`, …) to every line logged inside."""
    known = {name: value for name, value in ids.items() if value}
    token = _scope.set({**(_scope.get() or {}), **known})
    try:
        yield
    finally:
        _scope.reset(token)


class JsonFormatter(logging.Formatter):
    """One line of JSON: time (UTC), level, logger, message, ids, the traceback if there is one."""

    def __init__(self, redact: Redactor) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """Writes the record as one line, bounded and redacted."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "at": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:MAX_LOGGED_CHARS],
            **(_scope.get() or {}),
        }
        if left_out := getattr(record, "left_out", 0):
            line["left_out"] = left_out
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)[-MAX_LOGGED_CHARS:]
        return self._redact(json.dumps(line, ensure_ascii=False))


class _Minute:
    """Counts the lines of one agent in one minute."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.lines = 0
        self.left_out = 0


class LineLimit(logging.Filter):
    """Lets so many lines of each agent pass in a minute, of the loggers that it can make write.

    The line after the last one says that more are left out, and the first one of a later minute
    how many these were.
    """

    def __init__(
        self, lines: int = LINES_A_MINUTE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._lines = lines
        self._clock = clock
        self._minutes: dict[str, _Minute] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Decides about one line, and changes those that tell of others."""
        if not _is_below(record.name, _CAUSED_BY_AGENTS):
            return True
        agent_id = (_scope.get() or {}).get("agent", "")
        now = self._clock()
        minute = self._minutes.get(agent_id)
        if minute is None or now - minute.since >= _MINUTE_SECONDS:
            record.left_out = minute.left_out if minute else 0
            self._forget_before(now - _MINUTE_SECONDS)
            minute = self._minutes[agent_id] = _Minute(now)
        minute.lines += 1
        if minute.lines <= self._lines:
            return True
        minute.left_out += 1
        if minute.left_out == 1:
            record.msg, record.args = "more lines like these are counted and left out", ()
            record.exc_info = None
            return True
        return False

    def _forget_before(self, moment: float) -> None:
        """Drops the counts of agents that have been quiet since, and have left nothing out."""
        self._minutes = {
            agent_id: minute
            for agent_id, minute in self._minutes.items()
            if minute.since > moment or minute.left_out
        }


def _hide_bad_request(record: logging.LogRecord) -> bool:
    """Takes the sender's bytes out of a line about a request that could not be read."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None and type(error).__module__ == _BAD_REQUEST_ERRORS:
        record.msg, record.args = "a request could not be read: %s", (type(error).__name__,)
        record.exc_info = None
    return True


def make_handler(stream: TextIO, redact: Redactor) -> logging.Handler:
    """Makes what writes the lines to a stream, bounded in size and number."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(redact))
    # Not by the level of their loggers: Bolt gives each of its own the level of the root.
    handler.addFilter(_is_own_or_important)
    handler.addFilter(_hide_bad_request)
    handler.addFilter(LineLimit())
    return handler


def set_up_logs(level: str, redact: Redactor) -> None:
    """Sends every log line to stderr as JSON; `redact` may learn more secrets later."""
    handler = make_handler(sys.stderr, redact)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


def _is_own_or_important(record: logging.LogRecord) -> bool:
    return not _is_below(record.name, _NOISY) or record.levelno >= logging.WARNING


def _is_below(name: str, loggers: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{logger}.") for logger in loggers)
