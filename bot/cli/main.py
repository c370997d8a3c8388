"""The `threadsmith` command."""

import asyncio
import sys

import click

from bot.app.playground import playground
from bot.cli.agents import COMMANDS as AGENT_COMMANDS
from bot.cli.doctor import doctor_command
from bot.cli.records import COMMANDS as RECORD_COMMANDS
from bot.cli.setup import setup_command
from bot.config import Settings
from bot.errors import ConfigurationError, UserError
from bot.log_setup import set_up_logs
from bot.redaction import Redactor


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="threadsmith")
def main() -> None:
    """Self-hosted autonomous coding agents in Slack threads."""


for _command in (*RECORD_COMMANDS, doctor_command, setup_command, *AGENT_COMMANDS):
    main.add_command(_command)


@main.command()
def run() -> None:
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
