"""Makes markdown inert at a git host: nobody is mentioned, nothing referenced, closed or fetched.

A zero-width space breaks each mark that has an effect. Code is spared, since people copy it, but
only where the host is sure to read it as code too; elsewhere the same marks are broken in it.
"""

import html
import re
from collections.abc import Iterator, Sequence

ZERO = "\u200b"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_ENTITY = re.compile(r"&(?:#[0-9]{1,8}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# What the marks below consist of.
_MARK_CHARS = re.compile(r"[A-Za-z0-9@#!/:.%_-]")
_MARKS = re.compile(
    r"(?<![A-Za-z0-9])@(?=[A-Za-z0-9_])"  # a person or a team
    r"|#(?=[0-9])|(?<![\w/])#(?=\w)|!(?=[0-9])"  # an issue, a merge request, of another project too
    r"|(?<![A-Za-z0-9])GH-(?=[0-9])"
    r"|/(?:issues|pulls?|discussions|merge_requests|commits?)/(?=[0-9a-f%])"  # the same as a link
    r"|!(?=\[)"  # an image, which is fetched when the page is read
    r"|<(?=[A-Za-z/!?])",  # an element, for the same reason
    re.IGNORECASE,
)
# A host may close issues by a message of a commit, which knows no code and can hold this text.
_CLOSING = re.compile(
    r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?|implement(?:s|ed)?):?\s+"
    r"(?:[\w./:-]*[#!](?=[0-9])|GH-(?=[0-9])|[\w./:-]*/(?:issues|pull)/(?=[0-9]))",
    re.IGNORECASE,
)
_FENCE = re.compile(r"(`{3,})[^`]*|(~{3,}).*")
# A fence in a list or a quotation ends where these end, which takes a whole parser to know.
_NESTED_FENCE = re.compile(r"[\s>*+.)0-9-]+(?:`{3}|~{3})")
_TABLE_RULE = re.compile(r"(?=[^-]*-)[|:> \t-]+")
# The address of a link may hold a backtick that begins no code.
_LINK = re.compile(r"\][(\[:]")
_TICKS = re.compile("`+")


def inert_words(text: str) -> str:
    """Returns plain words, as of a title, that refer to nothing and mention nobody."""
    return _MARKS.sub(_broken, CONTROLS.sub("", text))


def inert_markdown(text: str) -> str:
    """Returns markdown that looks the same and has no other effect; every fence is closed."""
    parts: list[str] = []
    chunk: list[str] = []
    fence = ""
    certain = True
    for line in CONTROLS.sub("", text).split("\n"):
        if fence:
            parts.append(_CLOSING.sub(_broken, line))
            if _closes(line, fence):
                fence = ""
        elif certain and (opening := _FENCE.fullmatch(line)):
            parts += [*_paragraph(chunk), inert_words(line)]
            chunk, fence = [], opening[1] or opening[2]
        elif line.strip(" \t"):
            certain = certain and not _NESTED_FENCE.match(line)
            chunk.append(line)
        else:
            parts += [*_paragraph(chunk, certain=certain), line]
            chunk = []
    parts += _paragraph(chunk, certain=certain)
    return "\n".join([*parts, fence] if fence else parts)


def _closes(line: str, fence: str) -> bool:
    bare = line.strip(" \t")
    indent = len(line) - len(line.lstrip(" "))
    return indent <= 3 and len(bare) >= len(fence) and set(bare) == {fence[0]}  # noqa: PLR2004


def _paragraph(lines: Sequence[str], *, certain: bool = True) -> Iterator[str]:
    """Yields the lines between blank ones; code in them is spared as long as every mark pairs up.

    A backtick that is left over may pair with one of a later line, and turns code inside out.
    """
    in_table = any(_TABLE_RULE.fullmatch(line) for line in lines)
    paired = certain and not any(map(_LINK.search, lines))
    for line in lines:
        spans = _code_spans(line, in_table=in_table) if paired else None
        paired = spans is not None
        yield _spared(line, spans or ())


def _code_spans(line: str, *, in_table: bool) -> Sequence[tuple[int, int]] | None:
    """Returns where code begins and ends in a line; None when the host may read it differently."""
    if "\\`" in line:
        return None
    spans: list[tuple[int, int]] = []
    runs = list(_TICKS.finditer(line))
    position = 0
    while position < len(runs):
        opening = runs[position]
        length = len(opening[0])
        ends = (i for i in range(position + 1, len(runs)) if len(runs[i][0]) == length)
        closing = next(ends, None)
        if closing is None:
            return None
        start, end = opening.start(), runs[closing].end()
        if in_table and "|" in line[start:end]:
            return None
        spans.append((start, end))
        position = closing + 1
    return spans


def _spared(line: str, spans: Sequence[tuple[int, int]]) -> str:
    parts = []
    done = 0
    for start, end in spans:
        parts += [_inert(line[done:start]), _CLOSING.sub(_broken, line[start:end])]
        done = end
    return "".join([*parts, _inert(line[done:])])


def _inert(text: str) -> str:
    return _MARKS.sub(_broken, _ENTITY.sub(_literal, text))


def _literal(match: re.Match[str]) -> str:
    """Returns an entity as one that is shown as it is typed, if it stands for a part of a mark."""
    if _MARK_CHARS.fullmatch(html.unescape(match[0])):
        return f"&{ZERO}{match[0][1:]}"
    return match[0]


def _broken(match: re.Match[str]) -> str:
    return f"{match[0]}{ZERO}"
