"""Reads a reply in an agent's thread: the intent, and the words that stand before its text."""

import re
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.settings_command import checked_model
from bot.domain.start_command import DASHES
from bot.domain.verbosity import Verbosity
from bot.errors import InvalidCommand
from bridge.protocol import ChatMode

NO_SUCH_NAME = ""


class Intent(StrEnum):
    """The purpose of a reply."""

    MESSAGE = "message"
    STOP = "stop"
    PAUSE = "pause"
    INTERRUPT = "interrupt"
    MUTE = "mute"
    UNMUTE = "unmute"
    ASIDE = "aside"


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, read. All fields but `intent` are of a message to the agent.

    `text` lacks the word that chose the `mode`. `model` is the name behind `model:` or `--model`,
    NO_SUCH_NAME when no model can have it; `after_model` is the text behind that name. `verbosity`
    is set when the text is nothing but `verbosity: …`; `restart` when it asks an agent that has
    ended to go on. `unaddressed`: nothing but its place in the thread says that it is for the
    agent.
    """

    intent: Intent
    text: str = ""
    mode: ChatMode = ChatMode.STEER
    model: str | None = None
    after_model: str = ""
    verbosity: Verbosity | None = None
    restart: bool = False
    unaddressed: bool = False


_WORDS = {word.value: word for word in (Intent.PAUSE, Intent.MUTE, Intent.UNMUTE)}
_ASIDE = "aside:"
_QUEUE = "queue:"
_MODEL = re.compile(r"\s*(?:--model(?:\s+|=)|model:[ \t]*)(\S+)(?:\s+|$)", re.IGNORECASE)
_VERBOSITY = re.compile(r"verbosity:\s*([A-Za-z]+)\s*[.!]?", re.IGNORECASE)
_RESTARTS = frozenset({"restart", "go on", "continue"})


def read_reply(text: str) -> Reply:
    """Reads a reply, the mention of the bot left out of it."""
    stripped = text.strip()
    if stripped.strip(".!").lower() == Intent.STOP:
        return Reply(Intent.STOP)
    if intent := _WORDS.get(stripped.strip(".").lower()):
        return Reply(intent)
    if stripped[: len(_ASIDE)].lower() == _ASIDE:
        return Reply(Intent.ASIDE)
    if text[: len(_QUEUE)].lower() == _QUEUE:
        return read_message(text[len(_QUEUE) :].strip(), ChatMode.QUEUE)
    if text.startswith("!"):
        return read_message(text[1:].strip(), ChatMode.INTERRUPT)
    return read_message(stripped, ChatMode.STEER)


def read_message(text: str, mode: ChatMode) -> Reply:
    """Reads the text of a reply that is known to be a message, its mode read already."""
    model, after_model = _read_model(text)
    return Reply(
        Intent.MESSAGE,
        text,
        mode,
        model,
        after_model,
        verbosity=_read_verbosity(text),
        restart=text.strip().strip('.!"').lower() in _RESTARTS,
        unaddressed=mode is ChatMode.STEER,
    )


def _read_model(text: str) -> tuple[str | None, str]:
    """Returns the model that a text names by its first word, and the text behind the name."""
    plain = text.lstrip()
    dashed = DASHES.sub("--", plain)
    match = _MODEL.match(dashed)
    if match is None:
        return None, ""
    try:
        name = checked_model(match[1].strip("`"))
    except InvalidCommand:
        return NO_SUCH_NAME, ""
    # Measured from the end: a dash in the place of two hyphens makes the beginning shorter.
    length = len(dashed) - match.end()
    return name, plain[len(plain) - length :].strip() if length else ""


def _read_verbosity(text: str) -> Verbosity | None:
    match = _VERBOSITY.fullmatch(text.strip())
    word = match[1].lower() if match else ""
    return Verbosity(word) if word in set(Verbosity) else None
