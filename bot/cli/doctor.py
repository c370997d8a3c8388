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
        repos = [RepoRef.parse(one) for one in repositories]
    except UserError as error:
        raise click.UsageError(error.user_text) from error
    try:
        settings = Settings.read()
    except ConfigurationError as error:
        examined: Sequence[Examined] = [
            Examined("settings", broken(str(error), "Correct .env or the environment."), 0.0)
        ]
    else:
        examined = asyncio.run(examined_here(settings, channels, repos))
    click.echo(as_lines(examined) if not as_json else json.dumps(as_object(examined), indent=1))
    sys.exit(worst(examined) is Verdict.FAIL)


async def examined_here(
    settings: Settings, channels: Sequence[str] = (), repositories: Sequence[RepoRef] = ()
) -> Sequence[Examined]:
    """Examine the deployment of these settings from outside its bot."""
    # Slack, SQL and HTTP libraries take half a second to import, which `--help` need not pay.
    from bot.app.build import open_health_checks
    from bot.app.health import hidden

    async with open_health_checks(settings) as health_checks:
        return hidden(await health_checks.examine(channels, repositories), settings)


def as_lines(examined: Sequence[Examined]) -> str:
    """The report for a person at a terminal."""
    lines = []
    for one in examined:
        finding = one.finding
        verdict = click.style(f"{finding.verdict.value:4}", fg=_COLOURS[finding.verdict])
        lines.append(f"{verdict}  {one.check:{_WIDTH}}{finding.state}")
        if finding.next_step:
            lines.append(f"{'':{_WIDTH + 6}}→ {finding.next_step}")
    counted = [one.finding.verdict for one in examined]
    fails, warns = counted.count(Verdict.FAIL), counted.count(Verdict.WARN)
    lines.append(f"\n{len(examined)} checks: {fails} failed, {warns} to look at.")
    return "\n".join(lines)


def as_object(examined: Sequence[Examined]) -> dict[str, object]:
    """The report for a program; the names stay."""
    return {
        "verdict": worst(examined).value,
        "checks": [
            {
                "check": one.check,
                "verdict": one.finding.verdict.value,
                "found": one.finding.state,
                "next_step": one.finding.next_step,
                "seconds": round(one.seconds, 3),
            }
            for one in examined
        ],
    }
