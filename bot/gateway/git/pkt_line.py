"""Reads and writes git's pkt-lines, and reads lists of references from an untrusted host."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_HEADS = "refs/heads/"
LENGTH_DIGITS = 4
_PREFERRED = ("main", "master", "trunk")


class NotGitError(Exception):
    """The bytes are not what a git server sends."""


@dataclass(frozen=True, slots=True)
class Refs:
    """The branches of a repository; `default` is None when its HEAD points at none of them."""

    branches: tuple[str, ...] = ()
    default: str | None = None


@dataclass(slots=True)
class _Collected:
    branches: dict[str, str] = field(default_factory=dict)
    head_commit: str | None = None
    head_target: str | None = None

    def refs(self) -> Refs:
        target = (self.head_target or "").removeprefix(_HEADS)
        return Refs(
            tuple(self.branches), target if target in self.branches else self._same_commit()
        )

    def _same_commit(self) -> str | None:
        """Returns a branch at HEAD's commit, for an old server that names the commit only."""
        if self.head_target or not self.head_commit:
            return None
        at_head = [name for name, commit in self.branches.items() if commit == self.head_commit]
        return next((name for name in _PREFERRED if name in at_head), None) or next(
            iter(at_head), None
        )


def pkt_lines(data: bytes) -> Iterator[bytes | None]:
    """Splits pkt-lines; None for a flush or delimiter. Raises NotGitError."""
    position = 0
    while position < len(data):
        head = data[position : position + LENGTH_DIGITS]
        try:
            length = int(head, 16)
        except ValueError:
            raise NotGitError(f"not a pkt-line: {head!r}") from None
        if len(head) < LENGTH_DIGITS or position + length > len(data):
            raise NotGitError("the answer was cut off")
        if length < LENGTH_DIGITS:
            yield None
            position += LENGTH_DIGITS
        else:
            yield data[position + LENGTH_DIGITS : position + length].rstrip(b"\n")
            position += length


def pkt_line(text: str) -> bytes:
    """Writes one pkt-line."""
    return f"{len(text) + LENGTH_DIGITS:04x}{text}".encode()


def speaks_version_2(advertisement: bytes) -> bool:
    """Checks whether the server answered with capabilities, so that it must be asked for refs."""
    return any(line == b"version 2" for line in _payload(advertisement))


def read_advertisement(advertisement: bytes) -> Refs:
    """Reads the refs of a server of protocol version 0 or 1. Raises NotGitError."""
    collected = _Collected()
    for number, line in enumerate(_payload(advertisement)):
        text, _, capabilities = line.partition(b"\0")
        for capability in capabilities.split():
            if capability.startswith(b"symref=HEAD:"):
                collected.head_target = capability.removeprefix(b"symref=HEAD:").decode(
                    errors="replace"
                )
        commit, space, name = text.decode(errors="replace").partition(" ")
        if not space:
            if number == 0 and text == b"version 1":
                continue
            raise NotGitError("a line without a reference")
        _collect(collected, commit, name)
    return collected.refs()


def commit_of(advertisement: bytes, branch: str) -> str | None:
    """Returns the commit of a branch in a list of protocol version 0 or 1; None without it.

    Raises NotGitError.
    """
    wanted = f"{_HEADS}{branch}".encode()
    for line in _payload(advertisement):
        commit, _, name = line.partition(b"\0")[0].partition(b" ")
        if name == wanted:
            return commit.decode("ascii", "replace")
    return None


def ls_refs_request() -> bytes:
    """Writes the request to a server of protocol version 2 for HEAD and the branches."""
    return b"".join(
        (
            pkt_line("command=ls-refs\n"),
            pkt_line("agent=threadsmith\n"),
            b"0001",
            pkt_line("symrefs\n"),
            pkt_line("ref-prefix HEAD\n"),
            pkt_line(f"ref-prefix {_HEADS}\n"),
            b"0000",
        )
    )


def read_ls_refs(data: bytes) -> Refs:
    """Reads the answer to `ls_refs_request`. Raises NotGitError."""
    collected = _Collected()
    for line in pkt_lines(data):
        if line is None:
            continue
        commit, _, reference = line.decode(errors="replace").partition(" ")
        name, *attributes = reference.split(" ")
        if not name or commit == "ERR":
            raise NotGitError("a line without a reference")
        for attribute in attributes:
            if name == "HEAD" and attribute.startswith("symref-target:"):
                collected.head_target = attribute.removeprefix("symref-target:")
        _collect(collected, commit, name)
    return collected.refs()


def _collect(collected: _Collected, commit: str, name: str) -> None:
    if name == "HEAD":
        collected.head_commit = commit
    elif name.startswith(_HEADS):
        collected.branches[name.removeprefix(_HEADS)] = commit


def _payload(advertisement: bytes) -> Iterable[bytes]:
    """Gives the lines of a smart-HTTP advertisement without its service header."""
    lines = (line for line in pkt_lines(advertisement) if line is not None)
    return (line for line in lines if not line.startswith(b"# service="))
