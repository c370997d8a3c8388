import io
import json
import logging
from collections.abc import Iterator

import pytest

from bot.log_setup import JsonFormatter, LineLimit, log_scope, set_up_logs
from bot.redaction import HIDDEN, Redactor


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, io.StringIO]]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(Redactor(["canary-secret", "canary-secret-longer", "abc"])))
    logger = logging.getLogger("test.logs")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield logger, stream
    logger.removeHandler(handler)


Log = tuple[logging.Logger, io.StringIO]


def test_a_line_is_one_json_object_with_the_ids_of_its_scope(log: Log) -> None:
    logger, stream = log
    with log_scope(agent="k3f9ab", channel=None), log_scope(event="Ev1"):
        logger.info("hello\n%s", "two")
    logger.warning("outside")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["message"], first["level"], first["logger"]) == (
        "hello\ntwo",
        "info",
        "test.logs",
    )
    assert (first["agent"], first["event"]) == ("k3f9ab", "Ev1")
    assert "channel" not in first
    assert "agent" not in second
    assert first["at"].endswith("Z")


@pytest.mark.parametrize(
    "secret",
    [
        "canary-secret",
        "canary-secret-longer",
        "sk-or-v1-0123456789",
        "xoxb-1234567890-abc",
        "xapp-1-A0-123456",
        "ghp_0123456789abcdef0123",
        "github_pat_0123456789abcdef",
        "agt_0123456789abcdef.x",
    ],
)
def test_no_secret_is_written_in_a_message_an_id_or_a_traceback(log: Log, secret: str) -> None:
    logger, stream = log
    with log_scope(event=f"id-{secret}"):
        try:
            int(secret)
        except ValueError:
            logger.exception("while using %s", secret)
    line = json.loads(stream.getvalue())
    assert secret not in stream.getvalue()
    assert HIDDEN in line["message"]
    assert HIDDEN in line["traceback"]
    assert HIDDEN in line["event"]


def test_a_short_value_hides_no_plain_words(log: Log) -> None:
    logger, stream = log
    logger.info("abc and abcdef")
    assert json.loads(stream.getvalue())["message"] == "abc and abcdef"


def test_a_line_is_bounded(log: Log) -> None:
    logger, stream = log
    logger.info("x" * 1_000_000)
    assert len(stream.getvalue()) < 10_000


def test_the_libraries_that_repeat_each_request_are_quiet(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        set_up_logs("debug", Redactor(["canary-secret"]))
        eager = logging.getLogger("slack_bolt.AsyncApp")
        eager.setLevel(logging.DEBUG)
        eager.debug("Received message (data: what somebody typed)")
        logging.getLogger("slack_sdk.web").info("GET https://x.invalid/?token=1")
        logging.getLogger("bot").info("ready canary-secret")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    written = capsys.readouterr().err
    assert "slack_sdk" not in written
    assert "typed" not in written
    assert json.loads(written)["message"] == f"ready {HIDDEN}"


def test_an_agent_writes_so_many_lines_a_minute_and_then_a_count() -> None:
    now = [0.0]
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter(Redactor([])))
    handler.addFilter(LineLimit(lines=2, clock=lambda: now[0]))
    gateway, other = logging.getLogger("bot.gateway.test"), logging.getLogger("bot.agents.test")

    def written() -> list[tuple[str, str, int]]:
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        stream.truncate(stream.seek(0))
        return [(line.get("agent", ""), line["message"], line.get("left_out", 0)) for line in lines]

    for logger in (gateway, other):
        logger.addHandler(handler)
    try:
        with log_scope(agent="k3f9ab"):
            for number in range(9):
                gateway.warning("line %d", number)
        left_out = "more lines like these are counted and left out"
        assert written() == [
            ("k3f9ab", "line 0", 0),
            ("k3f9ab", "line 1", 0),
            ("k3f9ab", left_out, 0),
        ]
        with log_scope(agent="p7qdxy"):
            gateway.warning("another agent")
        with log_scope(agent="k3f9ab"):
            other.warning("no line of the gateway")
        assert len(written()) == 2
        now[0] = 60.0
        with log_scope(agent="k3f9ab"):
            gateway.warning("a minute later")
        gateway.warning("nobody")
        assert written() == [("k3f9ab", "a minute later", 7), ("", "nobody", 0)]
    finally:
        for logger in (gateway, other):
            logger.removeHandler(handler)
