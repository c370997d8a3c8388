"""Offers the composer words, options, repositories and models after `/agent`."""

import json
from dataclasses import dataclass
from pathlib import Path

from playground.slack.slack_state import Json


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the command, with a few words about it."""

    word: str
    about: str


COMMAND = "/agent"
COMMAND_HINT = "owner/repo[@branch] task… | list | status | stop | help"
# Written from the bot's table of commands by tests/unit/playground/test_completion.py.
COMMANDS_FILE = Path(__file__).with_name("commands.json")
_COMMANDS = json.loads(COMMANDS_FILE.read_text(encoding="utf-8"))
SUB_COMMANDS = tuple(Word(**entry) for entry in _COMMANDS["words"])
OPTIONS = tuple(Word(**entry) for entry in _COMMANDS["options"])
SHORTCUTS = (
    Word("start_agent", "Start an agent"),
    Word("pause_agent", "Pause agent"),
    Word("interrupt_agent", "Interrupt agent"),
    Word("stop_agent", "Stop agent"),
)
MAX_MODELS = 200


def commands(repositories: list[str], models: list[str]) -> list[Json]:
    """Returns the commands for the composer, as JSON."""
    return [
        {
            "command": COMMAND,
            "hint": COMMAND_HINT,
            "words": [{"word": w.word, "about": w.about} for w in SUB_COMMANDS],
            "options": [{"word": w.word, "about": w.about} for w in OPTIONS],
            "repositories": repositories,
            "models": models[:MAX_MODELS],
        }
    ]


def shortcuts() -> list[Json]:
    """Returns the entries in the menu of a message, as JSON."""
    return [{"callback_id": w.word, "name": w.about} for w in SHORTCUTS]
