"""Makes text fit for the model and for people to read: cut, cleaned, shown on one line."""

import re

from bridge.protocol.limits import CONTROLS

# A message in a person's place that no person wrote.
NOTE = "[Note from the system]"

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_SURROGATES = re.compile("[\ud800-\udfff]")
_CONTROLS = re.compile(f"[{CONTROLS}]")
_CONTROLS_OF_OUTPUT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # tabs and line ends stay


def shown(name: str) -> str:
    """Returns a file name on one line: undecodable bytes replaced, control characters escaped."""
    decoded = _SURROGATES.sub("\ufffd", name)
    return _CONTROLS.sub(lambda match: repr(match[0])[1:-1], decoded)


def printed(output: str) -> str:
    """Returns program output as a terminal would leave it: no escapes, overwritten lines gone."""
    plain = _ESCAPES.sub("", output).replace("\r\n", "\n")
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in plain.split("\n")]
    return _CONTROLS_OF_OUTPUT.sub("", "\n".join(lines))


def count(number: int, noun: str, plural: str = "") -> str:
    """Returns a number with its noun: `1 file`, `3 files`, `2 matches`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def size(size_bytes: int) -> str:
    """Returns a size with its unit: `512 B`, `1.5 KiB`, `3.0 MiB`."""
    if size_bytes < 1024:  # noqa: PLR2004  (a kibibyte)
        return f"{size_bytes} B"
    kibibytes = size_bytes / 1024
    return f"{kibibytes:.1f} KiB" if kibibytes < 1024 else f"{kibibytes / 1024:.1f} MiB"  # noqa: PLR2004


def cut_middle(text: str, limit_chars: int) -> str:
    """Returns the text, or its head and tail with the cut marked between them."""
    if len(text) <= limit_chars:
        return text
    mark = f"\n[… {len(text) - limit_chars} characters cut …]\n"
    room = max(limit_chars - len(mark), 0)
    tail = room // 3
    return (text[: room - tail] + mark + text[len(text) - tail :])[:limit_chars]


def clean(text: str) -> str:
    """Returns the text with split surrogate pairs joined and lone halves replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
