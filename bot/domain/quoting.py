"""Words of others inside sentences of ours: they are read as words, and mean nothing to Slack."""

import re

NO_BREAK = "\u200b"
# C0 and C1 controls except tab and newline, the characters that turn text around, and halves of
# surrogate pairs, which JSON can name and no encoding can carry.
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str) -> str:
    """Text without what nobody would see."""
    return CONTROLS.sub("", text)


def escaped(text: str) -> str:
    """Text for an mrkdwn string: the three characters that Slack's formatting needs escaped."""
    return shown(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str, limit: int = 80) -> str:
    """Text as inline code of an mrkdwn string, on one line, cut to `limit` characters."""
    line = " ".join(text.split()).replace("`", "'")
    return f"`{escaped(cut(line, limit)) or ' '}`"


def line(text: str, limit: int) -> str:
    """Text of others on one line of an mrkdwn string, its own formatting marks defused."""
    plain_line = cut(" ".join(text.split()), limit)
    return re.sub(r"([*_~`])", rf"{NO_BREAK}\1", escaped(plain_line))


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, the cut marked by an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
