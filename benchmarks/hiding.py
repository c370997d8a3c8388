"""How long it takes to take secrets out of a line and of a long result, with many of them known."""

import re
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.report import Row, Sample
from bot.redaction import Redactor

_KNOWN, _ROUNDS = 100, 300
_LINE = "the container of k3f9ab ended (exit 137) and was started again. " * 3
_RESULT = "def test_orders(client):\n    assert client.get('/orders').status == 200\n" * 110
_FLOOR = "re.sub of one literal that is not there"


async def measure(scratch: Path) -> list[Row]:  # noqa: ARG001  (every benchmark gets one)
    """A log line, and a tool's result of 8,000 characters; a hundred values are known."""
    redact = Redactor(secrets.token_urlsafe(30) for _ in range(_KNOWN))
    bare = re.compile(re.escape(secrets.token_urlsafe(30)))
    redact(_LINE)  # the pattern is made at the first use
    return [
        Row(
            f"secrets taken out of {len(text):,} characters",
            Sample.milliseconds(_times(redact, text)),
            Sample.milliseconds(_times(lambda shown: bare.sub("", shown), text)),
            _FLOOR,
        )
        for text in (_LINE, _RESULT)
    ]


def _times(hide: Callable[[str], str], text: str) -> list[float]:
    times = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        hide(text)
        times.append(time.perf_counter() - started)
    return times
