"""Runs the playground as a process beside the bot, in place of Slack, a model and a git host."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr

from bot.config import Settings
from bot.errors import ConfigurationError

SCRIPTED_MODEL = "scripted/scripted-model"
ANY_KEY = "a-local-model-takes-any-key"
END_SECONDS = 5.0


@contextmanager
def playground(settings: Settings) -> Iterator[Settings]:
    """Runs the playground for the length of a block; gives the settings that point at it.

    It has a session of its own, so that Ctrl-C reaches the bot alone and its last posts are still
    received; its standard input is a pipe, so that it ends with the bot, however that ends.
    """
    command = [sys.executable, "-m", "playground", "--announce", "--data", "data/playground"]
    command += ["--with-parent"]
    if has_own_model(settings):
        command += ["--model", settings.agent_model]
    if has_own_git(settings):
        command += ["--git", settings.github_url]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise ConfigurationError(
                    "The playground did not start; its words are above. "
                    "See `python -m playground --help`."
                )
            yield pointed_at(settings, json.loads(line))
        finally:
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def has_own_model(settings: Settings) -> bool:
    """Checks whether the settings name a model, by its key or by its address."""
    default = Settings.model_fields["openrouter_base_url"].default
    key = settings.openrouter_api_key.get_secret_value()
    return bool(key) or settings.openrouter_base_url != default


def has_own_git(settings: Settings) -> bool:
    """Checks whether the settings name a git host, by its token or by its address."""
    default = Settings.model_fields["github_url"].default
    return bool(settings.github_token.get_secret_value()) or settings.github_url != default


def pointed_at(settings: Settings, environment: dict[str, str]) -> Settings:
    """Returns the settings with the playground's addresses and tokens.

    A model and a git host that the settings name are kept; the scripted model is shown by its name.
    """
    kept: tuple[str, ...] = ()
    update: dict[str, object] = {}
    if has_own_model(settings):
        kept += ("OPENROUTER_",)
        if not settings.openrouter_api_key.get_secret_value():
            update["openrouter_api_key"] = SecretStr(ANY_KEY)
    elif "agent_model" not in settings.model_fields_set:
        update["agent_model"] = SCRIPTED_MODEL
    if has_own_git(settings):
        kept += ("GITHUB_",)
    if "log_level" not in settings.model_fields_set:
        # Whoever tries it reads the page; the log is there for trouble.
        update["log_level"] = "WARNING"
    if "slack_agent_sessions" not in settings.model_fields_set:
        update["slack_agent_sessions"] = True
    for variable, value in environment.items():
        name = variable.lower()
        if not variable.startswith(kept or "-") and name in Settings.model_fields:
            secret = Settings.model_fields[name].annotation is SecretStr
            update[name] = SecretStr(value) if secret else value
    return settings.model_copy(update=update)
