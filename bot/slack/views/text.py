"""Converts text to and from Slack: escapes, neutralises and cuts it, writes units."""

import html
import re
import unicodedata

from bot.domain.quoting import CONTROLS, NO_BREAK
from bot.errors import UserError

MAX_FALLBACK_CHARS = 3_000
# Slack cuts a message at 40,000 characters, and writes three of them as entities.
MAX_TYPED_CHARS = 5 * 40_000

# Only these can be invisible; tab and newline are seen by what they do.
_MAYBE_UNSEEN = re.compile(r"[^\t\n\x20-\x7e]")
# Controls, formats, halves of surrogate pairs, separators of lines, every space but the plain one.
_UNSEEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
# Letters and marks that Unicode says to draw as nothing (Default_Ignorable_Code_Point), the
# unassigned ones among them, and the blank pattern of Braille.
_UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
_PING = re.compile(r"<(?=[!@])")
_AT_WORD = re.compile(r"@(?=(?:channel|here|everyone)\b)")
# Slack escapes a "<" that a person typed, so none is inside a link; a pattern that leaves it out
# ends each attempt at the next one, and reads the text once.
_LABELLED = re.compile(r"<(?:[a-z][a-z0-9+.-]*:[^|<>\s]*)\|([^<>]*)>")
_BARE_LINK = re.compile(r"<(?:mailto:)?((?:[a-z][a-z0-9+.-]*:)?[^|<>@#!\s][^|<>\s]*)>")
# A shorter time is not worth a word.
SHOWN_SECONDS = 0.05


def visible(text: str) -> str:
    """Returns text for a literal block: invisible characters are written as `\\u202e`.

    In code they are worth seeing: they make it look like something that it is not.
    """
    return _MAYBE_UNSEEN.sub(_written_out, text.replace("\r\n", "\n"))


def _written_out(match: re.Match[str]) -> str:
    char = match[0]
    if unicodedata.category(char) not in _UNSEEN_CATEGORIES and not _UNSEEN.match(char):
        return char
    return f"\\u{ord(char):04x}" if char <= "\uffff" else f"\\U{ord(char):08x}"


def model_markdown(text: str) -> str:
    """Returns a model's markdown for a markdown block: it keeps its look and pings nobody."""
    clean = CONTROLS.sub("", text)
    return _AT_WORD.sub(f"@{NO_BREAK}", _PING.sub(f"<{NO_BREAK}", clean))


def plain(text: str) -> str:
    """Returns what a person typed, from Slack's formatted text: links as typed, no entities.

    What is longer than Slack's messages is cut.
    """
    unlinked = _BARE_LINK.sub(r"\1", _LABELLED.sub(r"\1", text[:MAX_TYPED_CHARS]))
    return html.unescape(unlinked).replace("\u00a0", " ")


def below_field(error: UserError) -> str:
    """Returns the text of an error as Slack shows it below a form's field: literally."""
    return html.unescape(error.user_text).replace("`", "")


def seconds(value: float) -> str:
    """Returns a duration as people say it: `0.4 s`, `38 s`, `1 min 52 s`, `2 h 5 min`."""
    minute, hour = 60, 3_600
    if value < 10:  # noqa: PLR2004  (below ten seconds the tenths matter)
        return f"{value:.1f} s"
    whole = round(value)
    if whole < minute:
        return f"{whole} s"
    if whole < hour:
        remaining = whole % minute
        return f"{whole // minute} min {remaining} s" if remaining else f"{whole // minute} min"
    return f"{whole // hour} h {whole % hour // minute} min"


def money(usd: float) -> str:
    """Returns a price: `$0.03`, or `<$0.01` for what is smaller than a cent."""
    cent = 0.01
    return f"<${cent}" if 0 < usd < cent else f"${usd:,.2f}"
