"""How much a thread shows while a task is at work."""

import re
from enum import StrEnum

_WORD = re.compile(r"\s*verbosity:\s*([A-Za-z]+)\s*[.!]?\s*", re.IGNORECASE)


class Verbosity(StrEnum):
    """`quiet`: the answers alone; `normal`: a live card; `verbose`: a message for each step too."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"


def reply_verbosity(text: str) -> Verbosity | None:
    """What a reply asks for when it is nothing but `verbosity: …`; None for any other."""
    found = _WORD.fullmatch(text)
    said = found[1].lower() if found else ""
    return Verbosity(said) if said in set(Verbosity) else None
