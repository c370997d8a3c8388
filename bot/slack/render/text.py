"""Text on its way to and from Slack: escaping, neutralising, cutting, units."""

import html
import re

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
