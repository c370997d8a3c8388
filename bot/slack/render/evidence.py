"""What the bridge recorded about a task, and the model's plan, as short lines."""

from bot.slack.render.text import code, line, seconds
from bridge.protocol import Check, CheckKind, Evidence, PlanItem, PlanStatus

_SHOWN_CHECKS = 6
_TESTS = (CheckKind.TESTS, CheckKind.CHECKS)
_MARKS = {PlanStatus.DONE: "☑", PlanStatus.DOING: "▸", PlanStatus.TODO: "☐"}
_WORDS = {PlanStatus.DONE: "done", PlanStatus.DOING: "in progress", PlanStatus.TODO: "to do"}
_PLAN_CHARS = 100
_NONE = "Checks (recorded, not claimed): none. No tests were run."


def evidence_line(evidence: Evidence) -> str:
    """The checks with exit codes and whether files changed since; "" where there is nothing."""
    no_tests = not any(check.kind in _TESTS for check in evidence.checks)
    if not evidence.checks:
        return (
            "Checks (recorded, not claimed): none. No tests were run." if evidence.changed else ""
        )
    shown = evidence.checks[-_SHOWN_CHECKS:]
    said = "; ".join(map(_check, shown))
    if more := len(evidence.checks) - len(shown):
        said += f"; and {more} earlier"
    ending = " No tests were run." if no_tests and evidence.changed else ""
    return f"Checks (recorded, not claimed): {said}.{ending}"


def _check(check: Check) -> str:
    where = "" if check.working_directory in ("", ".") else f" in {code(check.working_directory)}"
    parts = [f"{code(check.command)}{where}"]
    parts[0] += " timed out" if check.exit_code is None else f" exit {check.exit_code}"
    if check.failed:
        parts.append(f"{check.failed} failed")
    if check.passed is not None:
        parts.append(f"{check.passed} passed")
    parts.append(seconds(check.duration_seconds))
    when = {False: " after the last edit", True: " *before the last edit*", None: ""}[check.stale]
    return ", ".join(parts) + (f" —{when}" if when else "")


def plan_line(plan: tuple[PlanItem, ...]) -> str:
    """The plan as a checklist: a mark and, where it is not plain to do, a word for the mark."""
    return "\n".join(_item(item) for item in plan)


def _item(item: PlanItem) -> str:
    return f"{_MARKS[item.status]} {line(item.text, _PLAN_CHARS)} _({_WORDS[item.status]})_"


def plan_left(plan: tuple[PlanItem, ...]) -> str:
    """What is done, in progress and not done, as sentences; "" without a plan."""
    heads = {
        PlanStatus.DONE: "Done",
        PlanStatus.DOING: "In progress",
        PlanStatus.TODO: "Not done",
    }
    sentences = []
    for status, head in heads.items():
        found = [line(item.text, _PLAN_CHARS) for item in plan if item.status is status]
        if found:
            sentences.append(f"{head}: {', '.join(found)}.")
    return " ".join(sentences)
