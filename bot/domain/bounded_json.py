"""Parses JSON of strangers, and refuses what costs more than its bytes tell: many values, depth.

Python's parser holds the interpreter until it has read all, in a thread as well; so the number of
values is bounded before it begins, by counts that take a few milliseconds a megabyte.
"""

import json
from collections.abc import Callable
from typing import Any

MAX_JSON_VALUES = 200_000
MAX_JSON_DEPTH = 100
# What is larger is parsed in a thread, so that others go on meanwhile.
OFF_LOOP_BYTES = 16 * 1024

# Long numbers are read in more than linear time.
_MOST_DIGITS = 1_000_000
_OPENING, _CLOSING = b"[{", b"]}"
_NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))
_NO_BRACKETS = bytes(set(range(256)) - set(_OPENING + _CLOSING))


class CostlyJsonError(ValueError):
    """The JSON has more values or digits, or is deeper, than its reader accepts."""


def check_json(body: bytes, most_values: int = MAX_JSON_VALUES) -> None:
    """Checks the number of values, their digits and their depth; raises CostlyJsonError.

    It takes time in proportion to the bytes. What is no JSON at all may pass.
    """
    if len(body) <= MAX_JSON_DEPTH:
        return
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    if plain.count(b'"') > 4 * most_values:  # two for a key, two for its value
        raise CostlyJsonError("too many strings")
    outside = b"".join(plain.split(b'"')[::2])
    if sum(map(outside.count, (b",", b"[", b"{"))) >= most_values:
        raise CostlyJsonError("too many values")
    if len(outside.translate(None, _NO_DIGITS)) > _MOST_DIGITS:
        raise CostlyJsonError("too many digits")
    depth = 0
    for sign in outside.translate(None, _NO_BRACKETS):
        depth += 1 if sign in _OPENING else -1
        if depth > MAX_JSON_DEPTH:
            raise CostlyJsonError("too deep")


def parse_json(
    body: bytes,
    most_values: int = MAX_JSON_VALUES,
    parse_constant: Callable[[str], Any] | None = None,
) -> Any:  # noqa: ANN401  (JSON of any shape)
    """Returns the value that the JSON, in UTF-8, names; raises ValueError.

    `parse_constant` is given NaN and the infinities.
    """
    check_json(body, most_values)
    # Decoded here, since the parser would guess another encoding, which was not counted.
    return json.loads(body.decode(), parse_constant=parse_constant)
