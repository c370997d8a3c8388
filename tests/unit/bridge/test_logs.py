import json
import logging
import sys

from bridge.process.logs import JsonLines, current_task


def record(message: str, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("bridge.x", logging.INFO, __file__, 1, message, arguments, None)


def test_a_line_names_its_task_and_holds_no_secret() -> None:
    token = current_task.set("t1")
    line = json.loads(JsonLines(["canary-key", ""]).format(record("key %s\n", "canary-key")))
    current_task.reset(token)
    assert line["task_id"] == "t1"
    assert line["message"] == "key ***\n"


def test_a_trace_holds_no_secret_either() -> None:
    failed = record("failed")
    try:
        int("canary-key")
    except ValueError:
        failed.exc_info = sys.exc_info()
    assert "canary-key" not in JsonLines(["canary-key"]).format(failed)
