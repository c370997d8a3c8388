"""Reads the commands that a push begins with, and writes the answer that refuses it.

Only one shape is understood: one plain command, a flush, then a pack. Everything else that the
protocol knows (shallow lines, certificates, options, several commands) is refused by name.
"""

import re
from dataclasses import dataclass

from bot.gateway.git.pkt_line import (
    LENGTH_DIGITS,
    pkt_line,
)

MAX_COMMANDS_BYTES = 64 * 1024
_MAX_COMMANDS = 20
_OID = re.compile(rb"[0-9a-f]{40}|[0-9a-f]{64}")
_PACK = re.compile(rb"PACK\x00\x00\x00[\x02\x03]")
_SIDE_BAND = 1
_MAX_PKT_BYTES = 65_520


class PushRefusedError(Exception):
    """The push is not passed on; git shows the text."""


@dataclass(frozen=True, slots=True)
class Command:
    """Move `ref` from the commit `old` to `new`; zeros stand for no commit."""

    old: str
    new: str
    ref: str


@dataclass(frozen=True, slots=True)
class PushHead:
    """Holds the beginning of a push; `size` is the number of bytes up to the pack."""

    commands: tuple[Command, ...]
    capabilities: frozenset[str]
    size: int


def read_head(data: bytes) -> PushHead | None:
    """Reads the commands; None while their end has not arrived. Raises PushRefusedError."""
    commands: list[Command] = []
    capabilities: frozenset[str] = frozenset()
    position = 0
    while True:
        digits = data[position : position + LENGTH_DIGITS]
        if len(digits) < LENGTH_DIGITS:
            break
        if not re.fullmatch(rb"[0-9a-fA-F]{4}", digits):
            raise PushRefusedError("not a pkt-line")
        length = int(digits, 16)
        if length == 0:
            size = position + LENGTH_DIGITS
            return PushHead(tuple(commands), capabilities, size)
        if length <= LENGTH_DIGITS:
            raise PushRefusedError("an empty pkt-line")
        line = data[position + LENGTH_DIGITS : position + length]
        if len(line) < length - LENGTH_DIGITS:
            break
        text, nul, capability_list = line.partition(b"\0")
        if nul and not commands:
            capabilities = frozenset(capability_list.decode("utf-8", "replace").split())
        elif nul:
            raise PushRefusedError("capabilities in the middle")
        commands.append(_command(text))
        if len(commands) > _MAX_COMMANDS:
            raise PushRefusedError("too many references")
        position += length
    if len(data) > MAX_COMMANDS_BYTES:
        raise PushRefusedError("the commands are too long")
    return None


def _command(line: bytes) -> Command:
    line = line.removesuffix(b"\n")
    if line.startswith(b"shallow "):
        raise PushRefusedError("pushing from a shallow clone is not allowed")
    if line.startswith(b"push-cert"):
        raise PushRefusedError("push certificates are not allowed")
    old, _, target = line.partition(b" ")
    new, _, ref = target.partition(b" ")
    if not (_OID.fullmatch(old) and _OID.fullmatch(new) and len(old) == len(new) and ref):
        raise PushRefusedError("not a command of git")
    try:
        name = ref.decode("ascii")
    except UnicodeDecodeError:
        raise PushRefusedError("the reference's name is not plain") from None
    return Command(old.decode(), new.decode(), name)


def check_push(head: PushHead, branch: str) -> Command:
    """Returns the only command of a push that is allowed for `branch`; raises PushRefusedError."""
    if "push-options" in head.capabilities:
        raise PushRefusedError("push options are not allowed")
    if len(head.commands) != 1:
        raise PushRefusedError("push one branch at a time")
    command = head.commands[0]
    if not command.ref.startswith("refs/heads/"):
        raise PushRefusedError("only branches may be pushed")
    if command.ref != f"refs/heads/{branch}":
        raise PushRefusedError(f"this agent may push only {branch}")
    if not command.new.strip("0"):
        raise PushRefusedError("deleting a branch is not allowed")
    return command


def is_pack(data: bytes) -> bool:
    """Checks that the data begins like a pack."""
    return _PACK.match(data) is not None


def rejection(head: PushHead, reason: str) -> bytes | None:
    """Writes the answer that git shows as `[remote rejected] … (reason)`; None if it reads none."""
    asked = head.capabilities & {"report-status", "report-status-v2"}
    if not asked or not head.commands:
        return None
    plain = re.sub(r"[^ -~]", "?", reason)[:200]
    lines = [pkt_line("unpack ok\n")]
    lines += [pkt_line(f"ng {command.ref} {plain}\n") for command in head.commands]
    report = b"".join(lines) + b"0000"
    if "side-band-64k" not in head.capabilities:
        return report
    length = len(report) + LENGTH_DIGITS + 1
    if length > _MAX_PKT_BYTES:
        return None
    return b"%04x%c" % (length, _SIDE_BAND) + report + b"0000"
