"""`threadsmith setup`: from nothing to a first agent, with each value tried as it is pasted."""

import asyncio
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
from pydantic import SecretStr

from bot.cli.env_file import APP, BOT, FIELDS, GIT, MODEL, EnvField, EnvFile, find_mistake
from bot.cli.report import report_lines
from bot.config import Settings
from bot.domain.health import Finding, Verdict, worst
from bot.errors import ConfigurationError

_CHANNEL = re.compile(r"(?:.*/archives/)?([CG][A-Z0-9]{6,20})(?:[/?].*)?")
_File = click.Path(exists=True, dir_okay=False, path_type=Path, allow_dash=True)
_TO_BE_CONTINUED = "What was accepted so far is in {path}; `threadsmith setup` goes on from there."


@click.command("setup")
@click.option("--bot-token-file", type=_File, help="Read SLACK_BOT_TOKEN from this file.")
@click.option("--app-token-file", type=_File, help="Read SLACK_APP_TOKEN from this file.")
@click.option("--model-key-file", type=_File, help="Read OPENROUTER_API_KEY from this file.")
@click.option("--git-token-file", type=_File, help="Read GITHUB_TOKEN from this file.")
@click.option("--channel", default="", help="The first channel: its id (C…) or its link.")
@click.option(
    "--no-input", is_flag=True, help="Ask nothing; end with status 1 where a value lacks."
)
def setup_command(
    bot_token_file: Path | None,
    app_token_file: Path | None,
    model_key_file: Path | None,
    git_token_file: Path | None,
    channel: str,
    *,
    no_input: bool,
) -> None:
    """Make the Slack app, collect and try the tokens, write .env, invite the bot, run the doctor.

    Values come from the files named, the environment, or .env; what lacks is asked for, unseen.
    """
    files = (bot_token_file, app_token_file, model_key_file, git_token_file)
    env = EnvFile(Path(".env"))
    try:
        _Setup(env, not no_input).run(dict(zip(FIELDS, files, strict=True)), channel)
    except click.Abort:
        click.echo("\n" + _TO_BE_CONTINUED.format(path=env.path), err=True)
        sys.exit(1)
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{env.path} cannot be written: {error}") from error


class _Setup:
    """One run of the command; with `asks`, a person is there to answer."""

    def __init__(self, env: EnvFile, asks: bool) -> None:
        self._env = env
        self._asks = asks
        self._settings = _read_settings()

    def run(self, files: Mapping[EnvField, Path | None], channel: str) -> None:
        """Goes through every step in its order; raises click.Abort when the person leaves."""
        if not self._settings.slack_bot_token.get_secret_value() and self._asks:
            _show_link()
        for field, file in files.items():
            self._collect(field, file)
        channels = self._invite(channel)
        from bot.app.build import examine_deployment

        click.echo("\nThe doctor:")
        examined = asyncio.run(examine_deployment(self._settings, channels))
        click.echo(report_lines(examined))
        if worst(examined) is Verdict.FAIL:
            click.echo(
                f"\n{self._env.path} is written. Do what is named above, then start the bot."
            )
            sys.exit(1)
        click.echo(
            "\nReady. Start the bot:        make run\n"
            "Start a first agent, in Slack: /agent owner/repo explain what this repository does"
        )

    def _collect(self, field: EnvField, file: Path | None) -> None:
        """Puts a value that works into `.env`: the one in it, in the file, or asked for."""
        known = self._value(field)
        if file is not None:
            with click.open_file(str(file)) as opened:
                known = opened.read(10_000).strip()
        if known and self._accepted(field, known):
            return
        if not self._asks:
            if field.required or known:
                raise click.ClickException(
                    f"{field.name} {'does not work' if known else 'is missing'}: the "
                    f"{field.title}, from {field.source}."
                )
            return
        click.echo(f"\n{field.title}: {field.source}.")
        hint = "" if field.required else ", Enter for none"
        while True:
            value = click.prompt(
                f"{field.name} (unseen{hint})", hide_input=True, default="", show_default=False
            ).strip()
            if (not value and not field.required) or (value and self._accepted(field, value)):
                return

    def _accepted(self, field: EnvField, value: str) -> bool:
        """Tries a value and keeps it in `.env` when it works."""
        if mistake := find_mistake(field, value):
            click.echo(f"  ✗ {mistake}")
            return False
        tried = self._settings.model_copy(update={field.name.lower(): SecretStr(value)})
        finding = asyncio.run(_check_value(field, tried))
        sign = {Verdict.OK: "✓", Verdict.WARN: "⚠", Verdict.FAIL: "✗"}[finding.verdict]
        step = f"\n    → {finding.next_step}" if finding.next_step else ""
        click.echo(f"  {sign} {field.name}: {finding.state}{step}")
        if finding.verdict is Verdict.FAIL:
            return False
        try:
            self._env.put(field.name, value)
        except ValueError as error:
            click.echo(f"  ✗ {error}. Write it into {self._env.path} yourself, in quotes.")
            return False
        self._settings = tried
        return True

    def _value(self, field: EnvField) -> str:
        secret: SecretStr = getattr(self._settings, field.name.lower())
        return secret.get_secret_value()

    def _invite(self, channel: str) -> Sequence[str]:
        """Gets the bot into a first channel, by itself where it may; returns the channel's id."""
        name = asyncio.run(_bot_name(self._settings))
        click.echo(f"\nThe bot answers in channels that it is in. Send there:  /invite @{name}")
        while True:
            if not channel and self._asks:
                channel = click.prompt(
                    "A channel to look at: its link (channel's name > Copy link), Enter for none",
                    default="",
                    show_default=False,
                )
            if not channel.strip():
                return ()
            match = _CHANNEL.fullmatch(channel.strip())
            if match is None:
                click.echo("  ✗ That is no channel's link or id. It holds C and some letters.")
            elif asyncio.run(_join(self._settings, name, match[1])):
                return (match[1],)
            if not self._asks:
                raise click.ClickException(f"The bot is not in {channel}.")
            channel = ""


def _read_settings() -> Settings:
    try:
        return Settings.read()
    except ConfigurationError as error:
        raise click.ClickException(f"{error}. Correct .env or the environment first.") from error


def _show_link() -> None:
    from bot.slack import manifest

    text = manifest.text()
    if text is None:
        click.echo(
            'Make the app: api.slack.com/apps > "Create New App" > "From a manifest", and paste '
            "manifest.yml of Threadsmith's repository."
        )
        return
    link = manifest.new_app_link(text)
    click.echo(f"Make the app in your workspace, all of it is filled in:\n\n{link}\n")
    if click.confirm("Open this in a browser here?", default=False):
        click.launch(link)


async def _check_value(field: EnvField, settings: Settings) -> Finding:
    """Runs the doctor's check of one value."""
    from bot.app.build import open_health_checks

    names = {BOT: "Slack bot token", APP: "Slack app token", MODEL: "model key", GIT: "git"}
    async with open_health_checks(settings) as health_checks:
        (examined,) = await health_checks.examine(only=[names[field]])
        return examined.finding


async def _bot_name(settings: Settings) -> str:
    from bot.app.build import open_health_checks
    from bot.slack.checks import name_of

    async with open_health_checks(settings) as health_checks:
        return await name_of(health_checks.bot_client()) or "threadsmith"


async def _join(settings: Settings, name: str, channel: str) -> bool:
    """Joins a channel where the scopes allow it; returns whether the bot is in it then."""
    from bot.app.build import open_health_checks
    from bot.slack.checks import in_channels, join

    async with open_health_checks(settings) as health_checks:
        client = health_checks.bot_client()
        await join(client, channel)
        finding = await in_channels(client, name, [channel])
    joined = finding.verdict is Verdict.OK
    click.echo(
        f"  {'✓' if joined else '✗'} {finding.state}"
        + ("" if joined else f"\n    → {finding.next_step}")
    )
    return joined
