"""Writes the recorded checks of a task, and the model's plan, as short lines."""

from collections.abc import Callable

from bot.domain.quoting import code, cut, line
from bot.slack.views.text import seconds
from bridge.protocol import Check, CheckKind, Evidence, PlanItem, PlanStatus

_SHOWN_CHECKS = 6
_TESTS = (CheckKind.TESTS, CheckKind.CHECKS)
_MARKS = {PlanStatus.DONE: "☑", PlanStatus.DOING: "▸", PlanStatus.TODO: "☐"}
_WORDS = {PlanStatus.DONE: "done", PlanStatus.DOING: "in progress", PlanStatus.TODO: "to do"}
_PLAN_CHARS = 100
_HEAD = "Checks (recorded, not claimed)"
_NO_TESTS = "No tests were run."

Quote = Callable[[str], str]


def evidence_line(evidence: Evidence) -> str:
    """Returns the checks with exit codes and whether files changed since; "" without checks."""
    return _line(evidence, code, "*")


def evidence_markdown(evidence: Evidence) -> str:
    """Returns the checks for the description of a pull request, in the git host's markdown."""
    return _line(evidence, _quoted, "**")


def _quoted(text: str) -> str:
    return f"`{cut(' '.join(text.split()), 80).replace('`', chr(39)) or ' '}`"


def _line(evidence: Evidence, quote: Quote, strong: str) -> str:
    no_tests = not any(check.kind in _TESTS for check in evidence.checks)
    if not evidence.checks:
        return f"{_HEAD}: none. {_NO_TESTS}" if evidence.changed else ""
    shown = evidence.checks[-_SHOWN_CHECKS:]
    listed = "; ".join(_check(check, quote, strong) for check in shown)
    if more := len(evidence.checks) - len(shown):
        listed += f"; and {more} earlier"
    ending = f" {_NO_TESTS}" if no_tests and evidence.changed else ""
    return f"{_HEAD}: {listed}.{ending}"


def _check(check: Check, quote: Quote, strong: str) -> str:
    where = "" if check.working_directory in ("", ".") else f" in {quote(check.working_directory)}"
    parts = [f"{quote(check.command)}{where}"]
    parts[0] += " timed out" if check.exit_code is None else f" exit {check.exit_code}"
    if check.failed:
        parts.append(f"{check.failed} failed")
    if check.passed is not None:
        parts.append(f"{check.passed} passed")
    parts.append(seconds(check.duration_seconds))
    before = f" {strong}before the last edit{strong}"
    when = {False: " after the last edit", True: before, None: ""}[check.stale]
    return ", ".join(parts) + (f" —{when}" if when else "")


def plan_line(plan: tuple[PlanItem, ...]) -> str:
    """Returns the plan as a checklist: marks, and a word for each that is not plainly to do."""
    return "\n".join(_item(item) for item in plan)


def _item(item: PlanItem) -> str:
    return f"{_MARKS[item.status]} {line(item.text, _PLAN_CHARS)} _({_WORDS[item.status]})_"


def plan_left(plan: tuple[PlanItem, ...]) -> str:
    """Returns what is done, in progress and not done, as sentences; "" without a plan."""
    heads = {
        PlanStatus.DONE: "Done",
        PlanStatus.DOING: "In progress",
        PlanStatus.TODO: "Not done",
    }
    sentences = []
    for status, head in heads.items():
        items = [line(item.text, _PLAN_CHARS) for item in plan if item.status is status]
        if items:
            sentences.append(f"{head}: {', '.join(items)}.")
    return " ".join(sentences)
