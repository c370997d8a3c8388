"""Writes the bridge's log: JSON lines on stderr, each with its task, none with a secret."""

import json
import logging
import sys
from collections.abc import Iterable
from contextvars import ContextVar

current_task: ContextVar[str | None] = ContextVar("current_task", default=None)


class JsonLines(logging.Formatter):
    """Formats one JSON object a line, with every known secret replaced."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secret for secret in secrets if secret)

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record as one line."""
        line: dict[str, object] = {
            "at": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "task_id": current_task.get(),
            "message": self._redacted(record.getMessage()),
        }
        if record.exc_info:
            line["trace"] = self._redacted(self.formatException(record.exc_info))
        return json.dumps(line)

    def _redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def set_up_logs(secrets: Iterable[str]) -> None:
    """Sends everything of level INFO to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(secrets))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs the address of every call
