"""Turns the bot's errors into one line at the terminal, the same for every command."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from bot.errors import BotError


@contextmanager
def explain_errors() -> Iterator[None]:
    """Ends the command with one line and status 1 when the block raises an error of the bot."""
    try:
        yield
    except BotError as error:
        raise click.ClickException(error.operator_text) from error
