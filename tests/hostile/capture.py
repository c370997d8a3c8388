"""Every packet of one container, captured from a second one that shares its network."""

import base64
import secrets
import socket
import struct
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.conftest import IMAGE, docker

# Frames with their lengths, each once: on the loopback they come by twice.
_PROGRAM = """
import os, socket, struct
one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**26)
os.write(1, struct.pack("!I", 0))
while True:
    frame, (name, _, kind, *_) = one.recvfrom(2**17)
    if name != "lo" or kind != socket.PACKET_OUTGOING:
        data = struct.pack("!I", len(frame)) + frame
        while data:
            data = data[os.write(1, data):]
"""
_ETHERNET, _IPV4, _TCP = 14, 0x0800, 6

End = tuple[str, int]


@dataclass
class Capture:
    """What was seen: all frames, and the bytes of each TCP flow by where it went."""

    frames: list[bytes] = field(default_factory=list)
    flows: dict[tuple[End, End], bytes] = field(default_factory=dict)

    def went_to(self, value: bytes) -> set[End]:
        """Where this value went, in plain, as hex or as base64, alone or inside another."""
        forms = list(encodings(value))
        return {
            target
            for (_, target), data in self.flows.items()
            if any(form in data for form in forms)
        }

    def holds(self, value: bytes) -> bool:
        """Whether it is in any flow, or in any single frame of whatever kind."""
        forms = list(encodings(value))
        inside = any(form in frame for frame in self.frames for form in forms)
        return inside or bool(self.went_to(value))


def encodings(value: bytes) -> Iterator[bytes]:
    """The value as it may travel; of base64 what is the same wherever the value begins."""
    yield value
    yield value.hex().encode()
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + value)
        yield encoded[(0, 2, 3)[before] : len(encoded) - 4].rstrip(b"=")


@contextmanager
def capturing(container: str, file: Path) -> Iterator[Capture]:
    """Capture for the length of the block; what was captured is there after it."""
    name = f"threadsmith-capture-{secrets.token_hex(4)}"
    command = [
        *("docker", "run", "--rm", "--name", name, "--network", f"container:{container}"),
        *("--cap-drop=ALL", "--cap-add=NET_RAW", "--user=0", "--entrypoint=/opt/bridge/bin/python"),
        *(IMAGE, "-I", "-u", "-c", _PROGRAM),
    ]
    capture = Capture()
    with file.open("wb") as output, subprocess.Popen(command, stdout=output) as process:
        try:
            yield capture
        finally:
            docker("kill", name)
            process.wait(timeout=20)
    capture.frames = list(_frames(file.read_bytes()))
    parts: dict[tuple[End, End], list[bytes]] = defaultdict(list)
    for frame in capture.frames:
        if found := _tcp(frame):
            source, target, payload = found
            parts[source, target].append(payload)
    capture.flows = {ends: b"".join(data) for ends, data in parts.items()}


def _frames(data: bytes) -> Iterator[bytes]:
    at = 0
    while at + 4 <= len(data):
        (length,) = struct.unpack_from("!I", data, at)
        if length:
            yield data[at + 4 : at + 4 + length]
        at += 4 + length


def _tcp(frame: bytes) -> tuple[End, End, bytes] | None:
    """Source, target and payload of a TCP segment over IPv4; None of anything else."""
    if len(frame) < _ETHERNET + 20 or struct.unpack_from("!H", frame, 12)[0] != _IPV4:
        return None
    packet = frame[_ETHERNET:]
    head = (packet[0] & 15) * 4
    if packet[9] != _TCP or len(packet) < head + 20:
        return None
    (length,) = struct.unpack_from("!H", packet, 2)
    source, target = struct.unpack_from("!HH", packet, head)
    payload = packet[head + (packet[head + 12] >> 4) * 4 : length or None]
    here, there = (socket.inet_ntoa(packet[at : at + 4]) for at in (12, 16))
    return (here, source), (there, target), payload
