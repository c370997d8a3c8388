"""A patch as files with their hunks, for people to read. Pure; the patch is not to be trusted."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bridge.protocol import MAX_CHANGED_FILES

# What is longer than this is read as a file, not in a window.
MAX_HUNKS_CHARS = 200_000

_HEADER = b"diff --git "
_ESCAPE = re.compile(rb"\\([abfnrtv\"\\]|[0-7]{3})")
_NAMED = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b'"': 34, b"\\": 92}


@dataclass(frozen=True, slots=True)
class FileHunks:
    """One file of a patch. `text` are its hunks; it is "" for a binary file and for a mere rename.

    `is_cut`: there is more of it than `text`. `note` says what the hunks do not: a new file, a
    rename, other permissions. `key` is a short name of the path, for the value of a button.
    """

    key: str
    path: str
    added: int
    removed: int
    text: str
    is_cut: bool = False
    note: str = ""


def files_of(patch: bytes) -> tuple[FileHunks, ...]:
    """Returns the files of a patch as git writes it, in its order, 5,000 at most."""
    files = []
    for part in _parts(patch):
        files.append(_read(part))
        if len(files) == MAX_CHANGED_FILES:
            break
    return tuple(files)


def part_of(patch: bytes, key: str) -> bytes | None:
    """Returns the part of a patch about one file, as `git apply` takes it; None: no such."""
    return next((part for part in _parts(patch) if _read(part).key == key), None)


def _parts(patch: bytes) -> Iterator[bytes]:
    start = 0 if patch.startswith(_HEADER) else patch.find(b"\n" + _HEADER) + 1
    if not patch.startswith(_HEADER, start):
        return
    while start < len(patch):
        following = patch.find(b"\n" + _HEADER, start)
        end = len(patch) if following < 0 else following + 1
        yield patch[start:end]
        start = end


def _read(part: bytes) -> FileHunks:
    at = part.find(b"\n@@ ")
    head, body = (part, b"") if at < 0 else (part[: at + 1], part[at + 1 :])
    lines = body.split(b"\n")
    added = sum(line.startswith(b"+") for line in lines)
    removed = sum(line.startswith(b"-") for line in lines)
    text = body[: MAX_HUNKS_CHARS * 4].decode(errors="replace")
    old, new, note = _names(head)
    path = new or old or _of_header(head)
    return FileHunks(
        key=hashlib.sha256(path.encode(errors="replace")).hexdigest()[:16],
        path=path,
        added=added,
        removed=removed,
        text=text[:MAX_HUNKS_CHARS],
        is_cut=len(text) > MAX_HUNKS_CHARS or len(body) > MAX_HUNKS_CHARS * 4,
        note=note,
    )


def _names(head: bytes) -> tuple[str, str, str]:
    """Returns the old path, the new one ("" for none), and what happened beside the hunks."""
    old = new = ""
    notes = []
    for line in head.split(b"\n")[1:]:
        if line.startswith(b"--- "):
            old = _path(line[4:], b"a/")
        elif line.startswith(b"+++ "):
            new = _path(line[4:], b"b/")
        elif line.startswith((b"rename from ", b"copy from ")):
            old = _path(line.partition(b" from ")[2], b"")
        elif line.startswith((b"rename to ", b"copy to ")):
            new = _path(line.partition(b" to ")[2], b"")
            notes.append(f"renamed from {old}")
        elif line.startswith(b"new file mode"):
            notes.append("new")
        elif line.startswith(b"deleted file mode"):
            notes.append("deleted")
        elif line.startswith(b"new mode "):
            notes.append(f"mode {line[9:].decode(errors='replace')}")
        elif line.startswith((b"GIT binary patch", b"Binary files ")):
            notes.append("binary")
            break
    return old, new, ", ".join(notes)


def _of_header(head: bytes) -> str:
    """Returns the path in `diff --git a/x b/x`, where both are the same."""
    names = head.split(b"\n", 1)[0].removeprefix(_HEADER)
    if names.startswith(b'"'):
        return _path(names[: len(names) // 2], b"a/")
    return names[2 : len(names) // 2].decode(errors="replace")


def _path(written: bytes, prefix: bytes) -> str:
    """Returns a path as git writes it: perhaps quoted, perhaps with a tab behind."""
    if written == b"/dev/null":
        return ""
    if written.startswith(b'"'):
        written = _ESCAPE.sub(_byte, written.rstrip(b"\t").strip(b'"'))
    else:
        written = written.rstrip(b"\t")
    return written.removeprefix(prefix).decode(errors="replace")


def _byte(escape: re.Match[bytes]) -> bytes:
    name = escape[1]
    return bytes([_NAMED[name] if name in _NAMED else int(name, 8) & 0xFF])
