"""`threadsmith doctor`: what works and what does not, each with its next step."""

import asyncio
import json
import sys
from collections.abc import Sequence

import click

from bot.cli.report import report_lines, report_object
from bot.config import Settings
from bot.domain.agent import RepoRef
from bot.domain.health import Examined, Verdict, broken, worst
from bot.errors import ConfigurationError, UserError


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
        # Slack, SQL and HTTP libraries take half a second to import, which `--help` need not pay.
        from bot.app.build import examine_deployment

        examined = asyncio.run(examine_deployment(settings, channels, repos))
    click.echo(
        report_lines(examined) if not as_json else json.dumps(report_object(examined), indent=1)
    )
    sys.exit(worst(examined) is Verdict.FAIL)
