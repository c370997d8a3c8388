"""What a reply in an agent's thread is meant as, by its first word. Pure parsing."""

from dataclasses import dataclass
from enum import StrEnum

from bot.domain.commands import is_stop, reply_mode
from bridge.protocol import ChatMode


class Meant(StrEnum):
    """What a reply asks for."""

    MESSAGE = "message"
    STOP = "stop"
    PAUSE = "pause"
    MUTE = "mute"
    UNMUTE = "unmute"
    ASIDE = "aside"


@dataclass(frozen=True, slots=True)
class Said:
    """A reply, read. `text` and `mode` are those of a message to the agent.

    `plain`: nothing but its place in the thread says that it is for the agent.
    """

    meant: Meant
    text: str = ""
    mode: ChatMode = ChatMode.STEER
    plain: bool = False


_WORDS = {word.value: word for word in (Meant.PAUSE, Meant.MUTE, Meant.UNMUTE)}
_ASIDE = "aside:"


def read_reply(text: str) -> Said:
    """Read a reply, the mention of the bot left out of it."""
    if is_stop(text):
        return Said(Meant.STOP)
    if word := _WORDS.get(text.strip().strip(".").lower()):
        return Said(word)
    if text.lstrip()[: len(_ASIDE)].lower() == _ASIDE:
        return Said(Meant.ASIDE)
    mode, rest = reply_mode(text)
    return Said(Meant.MESSAGE, rest, mode, plain=mode is ChatMode.STEER)
