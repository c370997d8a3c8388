"""What a reply in an agent's thread is meant as, by its first word. Pure parsing."""

import re
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.settings_command import checked_model
from bot.domain.start_command import DASHES
from bridge.protocol import ChatMode


class Intent(StrEnum):
    """What a reply asks for."""

    MESSAGE = "message"
    STOP = "stop"
    PAUSE = "pause"
    INTERRUPT = "interrupt"
    MUTE = "mute"
    UNMUTE = "unmute"
    ASIDE = "aside"


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply, read. `text` and `mode` are those of a message to the agent.

    `unaddressed`: nothing but its place in the thread says that it is for the agent.
    """

    intent: Intent
    text: str = ""
    mode: ChatMode = ChatMode.STEER
    unaddressed: bool = False


_WORDS = {word.value: word for word in (Intent.PAUSE, Intent.MUTE, Intent.UNMUTE)}
_ASIDE = "aside:"


def read_reply(text: str) -> Reply:
    """Read a reply, the mention of the bot left out of it."""
    if is_stop(text):
        return Reply(Intent.STOP)
    if word := _WORDS.get(text.strip().strip(".").lower()):
        return Reply(word)
    if text.lstrip()[: len(_ASIDE)].lower() == _ASIDE:
        return Reply(Intent.ASIDE)
    mode, rest = reply_mode(text)
    return Reply(Intent.MESSAGE, rest, mode, unaddressed=mode is ChatMode.STEER)


_MODEL_WORD = re.compile(r"\s*(?:--model(?:\s+|=)|model:[ \t]*)(\S+)(?:\s+|$)", re.IGNORECASE)


def reply_model(text: str) -> tuple[str | None, str]:
    """The model that a reply asks for by its first word (`model: x`, `--model x`), and the rest.

    Raises InvalidCommand when the name cannot be one.
    """
    plain = text.lstrip()
    found = _MODEL_WORD.match(DASHES.sub("--", plain))
    if found is None:
        return None, text
    name = checked_model(found[1].strip("`"))
    # Measured from the end: a dash in the place of two hyphens makes the beginning shorter.
    rest = len(DASHES.sub("--", plain)) - found.end()
    return name, plain[len(plain) - rest :].strip() if rest else ""


def reply_mode(text: str) -> tuple[ChatMode, str]:
    """How a reply is meant, and its text without the word that said so."""
    if text[:6].lower() == "queue:":
        return ChatMode.QUEUE, text[6:].strip()
    if text.startswith("!"):
        return ChatMode.INTERRUPT, text[1:].strip()
    return ChatMode.STEER, text.strip()


def is_stop(text: str) -> bool:
    """Whether a reply is nothing but the word `stop`."""
    return text.strip().strip(".!").lower() == "stop"


def is_restart(text: str) -> bool:
    """Whether a reply asks for an agent that has ended to go on."""
    return text.strip().strip('.!"').lower() in {"restart", "go on", "continue"}
