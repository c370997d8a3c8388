"""Text on its way to and from Slack: escaping, neutralising, cutting, splitting, units."""

import html
import re

# Slack refuses about 13,200 characters over all blocks of a message; this leaves room for
# a footer (reported for markdown blocks, and undocumented).
MAX_MESSAGE_CHARS = 11_000
MAX_FALLBACK_CHARS = 3_000

# C0 and C1 controls except tab and newline, the characters that turn text around, and halves of
# surrogate pairs, which JSON can name and no encoding can carry.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# In code these are worth seeing: they make it look like something that it is not.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200c\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
    "\ud800-\udfff]"
)
_PING = re.compile(r"<(?=[!@])")
_AT_WORD = re.compile(r"@(?=(?:channel|here|everyone)\b)")
_LABELLED = re.compile(r"<(?:[a-z][a-z0-9+.-]*:[^|>\s]*)\|([^>]*)>")
_BARE_LINK = re.compile(r"<(?:mailto:)?((?:[a-z][a-z0-9+.-]*:)?[^|>@#!\s][^|>\s]*)>")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
NO_BREAK = "\u200b"
# A shorter time is not worth a word.
SHOWN_SECONDS = 0.05


def escaped(text: str) -> str:
    """Text for an mrkdwn string: the three characters that Slack's formatting needs escaped."""
    clean = _CONTROLS.sub("", text)
    return clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def visible(text: str) -> str:
    """Text for a block that shows it literally: what nobody would see is written as `\\u202e`."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r\n", "\n"))


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


def model_markdown(text: str) -> str:
    """A model's markdown for a markdown block: it keeps its look and pings nobody."""
    clean = _CONTROLS.sub("", text)
    return _AT_WORD.sub(f"@{NO_BREAK}", _PING.sub(f"<{NO_BREAK}", clean))


def plain(text: str) -> str:
    """What a person typed, from Slack's formatted text: links as they were typed, no entities."""
    unlinked = _BARE_LINK.sub(r"\1", _LABELLED.sub(r"\1", text))
    return html.unescape(unlinked).replace("\u00a0", " ")


def split_markdown(text: str, limit: int = MAX_MESSAGE_CHARS) -> list[str]:
    """Markdown in parts of at most `limit` characters.

    A part ends at a line's end where it can; a code fence that is cut is closed, and opened
    again with its language in the next part.
    """
    parts: list[str] = []
    current: list[str] = []
    size = 0
    fence = ""
    for row in _rows(text, limit - 200):
        closing = len(_closing(fence)) + 1 if fence else 0
        if current and size + len(row) + 1 + closing > limit:
            parts.append("\n".join([*current, _closing(fence)] if fence else current))
            current = [fence] if fence else []
            size = sum(len(kept) + 1 for kept in current)
        current.append(row)
        size += len(row) + 1
        fence = _fence_after(fence, row)
    if current:
        parts.append("\n".join(current))
    return [part for part in parts if part.strip()]


def _rows(text: str, limit: int) -> list[str]:
    return [
        row[start : start + limit]
        for row in text.split("\n")
        for start in range(0, max(len(row), 1), limit)
    ]


def _fence_after(fence: str, row: str) -> str:
    match = _FENCE.match(row)
    if match is None:
        return fence
    if not fence:
        return cut(row.strip(), 60)
    closes = match[1].startswith(_closing(fence)) and not match[2].strip()
    return "" if closes else fence


def _closing(fence: str) -> str:
    match = _FENCE.match(fence)
    return match[1] if match else "```"


def seconds(value: float) -> str:
    """A duration as people say it: `0.4 s`, `38 s`, `1 min 52 s`, `2 h 5 min`."""
    minute, hour = 60, 3_600
    if value < 10:  # noqa: PLR2004  (below ten seconds the tenths matter)
        return f"{value:.1f} s"
    whole = round(value)
    if whole < minute:
        return f"{whole} s"
    if whole < hour:
        rest = whole % minute
        return f"{whole // minute} min {rest} s" if rest else f"{whole // minute} min"
    return f"{whole // hour} h {whole % hour // minute} min"


def money(usd: float) -> str:
    """A price: `$0.03`, or `<$0.01` for what is smaller than a cent."""
    cent = 0.01
    return f"<${cent}" if 0 < usd < cent else f"${usd:,.2f}"
