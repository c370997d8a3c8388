"""The `threadsmith` command."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click
from pydantic import SecretStr

from bot.config import Settings
from bot.errors import ConfigurationError, UserError
from bot.logs import set_up_logs
from bot.records import COMMANDS
from bot.redaction import Redactor

TRY = '.venv/bin/python -m playground.chat "/agent demo/todo fix the failing test"'


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="threadsmith")
def main() -> None:
    """Self-hosted autonomous coding agents in Slack threads."""


for _command in COMMANDS:
    main.add_command(_command)


@main.command()
def run() -> None:
    """Run the bot. Without Slack tokens, a local playground stands in for Slack."""
    try:
        settings = Settings.read()
        if settings.has_slack:
            _serve(settings)
        else:
            with _playground() as environment:
                _say_how_to_try()
                _serve(_pointed_at(settings, environment))
    except (ConfigurationError, UserError) as error:
        text = error.user_text if isinstance(error, UserError) else str(error)
        click.echo(f"threadsmith: {text}", err=True)
        sys.exit(1)


@main.command("forget-secrets")
@click.confirmation_option(prompt="Every stored secret is lost. Go on?")
def forget_secrets() -> None:
    """Remove every stored secret, when the key to them is lost. Stop the bot first."""
    from bot.store.store import SqlStore

    async def forget() -> int:
        settings = Settings.read()
        store = await SqlStore.open(settings.database, settings.data_dir.resolve())
        try:
            return await store.secret_rows.forget_all(time.time())
        finally:
            await store.close()

    try:
        click.echo(f"{asyncio.run(forget())} secrets are removed.")
    except (ConfigurationError, UserError) as error:
        click.echo(f"threadsmith: {error}", err=True)
        sys.exit(1)


def _serve(settings: Settings) -> None:
    # Slack, SQL and HTTP libraries take half a second to import, which `--help` need not pay.
    from bot.app import serve

    redact = Redactor(settings.secrets)
    set_up_logs(settings.log_level, redact)
    asyncio.run(serve(settings, redact))


@contextmanager
def _playground() -> Iterator[dict[str, str]]:
    """Run the playground beside us; gives the settings that point at it."""
    command = [sys.executable, "-m", "playground", "--announce", "--data", "data/playground"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise ConfigurationError(
                    "The playground did not start; its words are above. A port that is taken? "
                    "See `python -m playground --help`."
                )
            yield json.loads(line)
        finally:
            process.terminate()


def _pointed_at(settings: Settings, environment: dict[str, str]) -> Settings:
    """The settings with the playground's addresses and tokens; a model of one's own is kept."""
    own_model = bool(settings.openrouter_api_key.get_secret_value())
    update: dict[str, object] = {}
    for variable, value in environment.items():
        if own_model and variable.startswith("OPENROUTER_"):
            continue
        name = variable.lower()
        secret = Settings.model_fields[name].annotation is SecretStr
        update[name] = SecretStr(value) if secret else value
    return settings.model_copy(update=update)


def _say_how_to_try() -> None:
    click.echo(
        "No Slack tokens in .env: the playground stands in for Slack, the model is scripted."
    )
    click.echo(f"In a second terminal:\n\n  {TRY}\n")
    click.echo("Press Ctrl-C to stop. README.md says how to connect a real Slack.")
