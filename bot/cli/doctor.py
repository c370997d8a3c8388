"""`threadsmith doctor`: what works and what does not, each with its next step."""

import asyncio
import json
import sys
from collections.abc import Sequence

import click

from bot.config import Settings
from bot.domain.agent import RepoRef
from bot.domain.health import Examined, Verdict, broken, worst
from bot.errors import ConfigurationError, UserError

_COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}
_WIDTH = 17


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
@click.option("--channel", "channels", multiple=True, help="Is the bot in this channel? (C…)")
@click.option("--repository", "repositories", multiple=True, help="Can it be used? owner/name")
def doctor_command(
    as_json: bool,
    channels: Sequence[str],
    repositories: Sequence[str],
) -> None:
    """Check the whole deployment; says the next step for whatever is not well.

    Ends with status 1 when something fails; a warning is no failure. Nothing is changed, and
    nothing is posted.
    """
    try:
        repos = [RepoRef.parse(name) for name in repositories]
    except UserError as error:
        raise click.UsageError(error.user_text) from error
    try:
        settings = Settings.read()
    except ConfigurationError as error:
        examined: Sequence[Examined] = [
            Examined("settings", broken(str(error), "Correct .env or the environment."), 0.0)
        ]
    else:
        examined = asyncio.run(examine_deployment(settings, channels, repos))
    click.echo(
        report_lines(examined) if not as_json else json.dumps(report_object(examined), indent=1)
    )
    sys.exit(worst(examined) is Verdict.FAIL)


async def examine_deployment(
    settings: Settings, channels: Sequence[str] = (), repositories: Sequence[RepoRef] = ()
) -> Sequence[Examined]:
    """Examines the deployment of these settings from outside its bot."""
    # Slack, SQL and HTTP libraries take half a second to import, which `--help` need not pay.
    from bot.app.build import open_health_checks
    from bot.app.health import hidden

    async with open_health_checks(settings) as health_checks:
        return hidden(await health_checks.examine(channels, repositories), settings)


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
