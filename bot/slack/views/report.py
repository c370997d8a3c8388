"""How the doctor's report looks: a line for each check, below it what to do."""

from collections.abc import Sequence

from bot.domain.health import Examined, Verdict
from bot.domain.quoting import line

_MARKS = {Verdict.OK: "✓", Verdict.WARN: "⚠", Verdict.FAIL: "✗"}
_MOST_CHARS = 400


def report_text(examined: Sequence[Examined]) -> str:
    """The whole report as mrkdwn: what fails first, what is well last."""
    if not examined:
        return "Nothing was examined."
    order = (Verdict.FAIL, Verdict.WARN, Verdict.OK)
    by_verdict = sorted(examined, key=lambda one: order.index(one.finding.verdict))
    fails = sum(one.finding.verdict is Verdict.FAIL for one in examined)
    head = f"*{fails} of {len(examined)} checks failed*" if fails else "*Nothing failed*"
    return "\n".join([head, *(_lines(one) for one in by_verdict)])


def _lines(one: Examined) -> str:
    said = f"{_MARKS[one.finding.verdict]} *{one.check}* · {line(one.finding.found, _MOST_CHARS)}"
    step = one.finding.next_step
    return f"{said}\n        → {line(step, _MOST_CHARS)}" if step else said
