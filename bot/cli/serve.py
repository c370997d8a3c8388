"""`threadsmith run`, and what `python -m bot` does."""

import asyncio
import sys

import click

from bot.app.playground import playground
from bot.config import Settings
from bot.errors import ConfigurationError, UserError
from bot.log_setup import set_up_logs
from bot.redaction import Redactor


@click.command("run")
def run_command() -> None:
    """Run the bot. Without Slack tokens, a local playground stands in for Slack."""
    try:
        settings = Settings.read()
        if settings.has_slack:
            _serve(settings)
        else:
            with playground(settings) as settings_here:
                _serve(settings_here)
    except (ConfigurationError, UserError) as error:
        click.echo(f"threadsmith: {error.operator_text}", err=True)
        sys.exit(1)


def _serve(settings: Settings) -> None:
    # Slack, SQL and HTTP libraries take half a second to import, which `--help` need not pay.
    from bot.app.serve import serve

    redact = Redactor(settings.secrets)
    set_up_logs(settings.log_level, redact)
    asyncio.run(serve(settings, redact))
