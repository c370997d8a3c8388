"""What the composer offers after `/agent`: words, options, repositories and models."""

from dataclasses import dataclass

from playground.slack.slack_state import Json


@dataclass(frozen=True, slots=True)
class Word:
    """A word of the command, with a few words about it."""

    word: str
    about: str


COMMAND = "/agent"
COMMAND_HINT = "owner/repo[@branch] task… | list | status | stop | help"
# tests/unit/playground/test_completion.py holds these against what the bot understands.
SUB_COMMANDS = (
    Word("list", "the agents of this channel"),
    Word("status", "one agent, or all of them"),
    Word("stop", "stop an agent by its id"),
    Word("usage", "what model calls cost"),
    Word("models", "the models that can be used"),
    Word("secrets", "your own keys and tokens, in a form"),
    Word("set", "who may do what in this channel"),
    Word("doctor", "what of the deployment works, for admins"),
    Word("help", "everything it understands"),
)
OPTIONS = (
    Word("--model", "another model for this agent"),
    Word("--steps", "the most steps of a task"),
    Word("--budget", "the most dollars of this agent"),
)
SHORTCUTS = (
    Word("start_agent", "Start an agent"),
    Word("pause_agent", "Pause agent"),
    Word("interrupt_agent", "Interrupt agent"),
    Word("stop_agent", "Stop agent"),
)
MAX_MODELS = 200


def commands(repositories: list[str], models: list[str]) -> list[Json]:
    """The commands for the composer, as JSON."""
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
    return [{"callback_id": w.word, "name": w.about} for w in SHORTCUTS]
