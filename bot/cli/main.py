"""The `threadsmith` command."""

import click

from bot.cli.agents import COMMANDS as AGENT_COMMANDS
from bot.cli.doctor import doctor_command
from bot.cli.records import COMMANDS as RECORD_COMMANDS
from bot.cli.serve import run_command
from bot.cli.setup import setup_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="threadsmith")
def main() -> None:
    """Self-hosted autonomous coding agents in Slack threads."""


for _command in (run_command, *RECORD_COMMANDS, doctor_command, setup_command, *AGENT_COMMANDS):
    main.add_command(_command)
