"""Structured logs: one JSON object a line, ids from the Slack event to the tool call, no secret."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from bot.redaction import Redactor

_scope: ContextVar[dict[str, str] | None] = ContextVar("scope", default=None)

# These libraries log each call: addresses that are capabilities, and what people type into forms.
_NOISY = (
    "aiohttp.access", "aiosqlite", "alembic", "docker", "slack_bolt", "slack_sdk", "sqlalchemy",
    "urllib3",
)  # fmt: skip
MAX_LOGGED_CHARS = 8_000


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
        line = {
            "at": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:MAX_LOGGED_CHARS],
            **(_scope.get() or {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)[-MAX_LOGGED_CHARS:]
        return self._redact(json.dumps(line, ensure_ascii=False))


def set_up_logs(level: str, redact: Redactor) -> None:
    """Sends every log line to stderr as JSON; `redact` may learn more secrets later."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(redact))
    # Not by the level of their loggers: Bolt gives each of its own the level of the root.
    handler.addFilter(_is_own_or_important)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


def _is_own_or_important(record: logging.LogRecord) -> bool:
    own = not any(f"{record.name}.".startswith(f"{noisy}.") for noisy in _NOISY)
    return own or record.levelno >= logging.WARNING
