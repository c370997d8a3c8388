"""Escapes text from people so that Slack does not read it as markup."""

import re

NO_BREAK = "\u200b"
# C0 and C1 controls except tab and newline, the characters that turn text around, and halves of
# surrogate pairs, which JSON can name and no encoding can carry.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    """Returns the text without invisible characters."""
    return CONTROLS.sub("", text)


def escaped(text: str) -> str:
    """Escapes the three characters that have a meaning in an mrkdwn string."""
    return shown(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str, limit: int = 80) -> str:
    """Formats text as inline code of an mrkdwn string, on one line, cut to `limit` characters."""
    line = " ".join(text.split()).replace("`", "'")
    return f"`{escaped(cut(line, limit)) or ' '}`"


def line(text: str, limit: int) -> str:
    """Puts text from people on one line of an mrkdwn string, its formatting marks escaped."""
    plain_line = cut(" ".join(text.split()), limit)
    return re.sub(r"([*_~`])", rf"{NO_BREAK}\1", escaped(plain_line))


def cut(text: str, limit: int) -> str:
    """Cuts text to `limit` characters, and marks the cut by an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
