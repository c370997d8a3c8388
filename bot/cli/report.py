"""Writes the report of the checks, for a person and for a program."""

from collections.abc import Sequence

import click

from bot.domain.health import Examined, Verdict, worst

_COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}
_WIDTH = 17


def report_lines(examined: Sequence[Examined]) -> str:
    """Writes the report for a person at a terminal."""
    lines = []
    for check in examined:
        finding = check.finding
        verdict = click.style(f"{finding.verdict.value:4}", fg=_COLOURS[finding.verdict])
        lines.append(f"{verdict}  {check.check:{_WIDTH}}{finding.state}")
        if finding.next_step:
            lines.append(f"{'':{_WIDTH + 6}}→ {finding.next_step}")
    verdicts = [check.finding.verdict for check in examined]
    fails, warns = verdicts.count(Verdict.FAIL), verdicts.count(Verdict.WARN)
    lines.append(f"\n{len(examined)} checks: {fails} failed, {warns} to look at.")
    return "\n".join(lines)


def report_object(examined: Sequence[Examined]) -> dict[str, object]:
    """Writes the report for a program, whose names stay the same in every version."""
    return {
        "verdict": worst(examined).value,
        "checks": [
            {
                "check": check.check,
                "verdict": check.finding.verdict.value,
                "found": check.finding.state,
                "next_step": check.finding.next_step,
                "seconds": round(check.seconds, 3),
            }
            for check in examined
        ],
    }
