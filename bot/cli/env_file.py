"""The file `.env`: one value is set at a time, everything else in it stays as it is."""

import re
from pathlib import Path

from bot.files import replace_private_file

_PLAIN = re.compile(r"[A-Za-z0-9._~+/=:@,-]*")
_NAME = re.compile(r"[A-Z][A-Z0-9_]*")


class EnvFile:
    """Written whole or not at all, readable by its owner only. Raises OSError."""

    def __init__(self, path: Path) -> None:
        # A link stays a link: what it points to is replaced.
        self.path = path.resolve()

    def put(self, name: str, value: str) -> None:
        """Set a value where it stands, or its commented example does, or at the end.

        Raises ValueError for what a line of the file cannot hold as it is.
        """
        if not _NAME.fullmatch(name) or not _PLAIN.fullmatch(value):
            raise ValueError(f"{name}: the value holds spaces or other characters")
        lines = _with(self._read(), name, value)
        replace_private_file(self.path, ("\n".join(lines) + "\n").encode())

    def _read(self) -> list[str]:
        try:
            return self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []


def _with(lines: list[str], name: str, value: str) -> list[str]:
    """Of several lines with the name the last one counts; so that one is set, the others go."""
    mine = re.compile(rf"\s*(?:export\s+)?{name}\s*=")
    example = re.compile(rf"\s*#\s*{name}\s*=")
    set_at = [index for index, line in enumerate(lines) if mine.match(line)]
    shown_at = [index for index, line in enumerate(lines) if example.match(line)]
    place = (set_at or shown_at or [len(lines)])[-1]
    kept = [line for index, line in enumerate(lines) if index not in {*set_at, place}]
    place -= sum(index < place for index in set_at)
    return [*kept[:place], f"{name}={value}", *kept[place:]]
