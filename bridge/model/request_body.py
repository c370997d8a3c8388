"""The bytes of a model request; a message that stands where it stood is not encoded again.

Each request of a conversation repeats the one before, so that otherwise every step would be dearer
than the last.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any


class RequestBody:
    """Encodes requests one after the other. Messages are compared by identity and never changed."""

    def __init__(self) -> None:
        self._known: list[tuple[Mapping[str, Any], bytes]] = []

    def encoded(self, messages: Sequence[Mapping[str, Any]], rest: Mapping[str, Any]) -> bytes:
        """The JSON object of `rest` and these messages; raises ValueError for what is no text."""
        known = self._known[: len(messages)]
        for place, message in enumerate(messages):
            if place == len(known):
                known.append((message, _json(message)))
            elif known[place][0] is not message:
                known[place] = (message, _json(message))
        self._known = known
        said = b",".join(data for _, data in known)
        head = _json(rest).removesuffix(b"}")
        return head + b',"messages":[' + said + b"]}"


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
