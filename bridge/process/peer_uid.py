"""Tells which user inside this network namespace holds the other end of a TCP connection.

It asks the kernel about one connection, and does not read its table, since hostile code can make
that as long as it likes.
"""

import socket
import struct

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1
_ANY = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_QUESTION = struct.Struct("=BBBxI")  # family, protocol, extensions, states
_PORTS = struct.Struct("!HH")
_PLACE = struct.Struct("=III")  # interface, cookie
_ANSWER = struct.Struct("=4x4s32x12x12xI")  # ports, addresses, place, queues, uid


def uid_of(peer: tuple[str, int], here: tuple[str, int]) -> int | None:
    """Returns the user id that owns the socket at `peer`, of a connection accepted at `here`.

    Both are (address, port) as the socket module gives them. None: no process inside holds it, so
    it came from outside; or it is gone already; or the kernel does not say.
    """
    ports = _PORTS.pack(peer[1], here[1])
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
            kernel.send(_question(peer[0], here[0], ports))
            answer = kernel.recv(4_096, socket.MSG_DONTWAIT)
    except OSError:
        return None
    if len(answer) < _HEADER.size + _ANSWER.size:
        return None  # an error: there is no such socket
    answered_ports, uid = _ANSWER.unpack_from(answer, _HEADER.size)
    # For a connection that is gone the kernel may name whoever listens at its port.
    return int(uid) if answered_ports == ports else None


def _question(peer: str, here: str, ports: bytes) -> bytes:
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    body = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, _ANY) + ports
    for host in (peer, here):
        body += socket.inet_pton(family, host.partition("%")[0]).ljust(16, b"\0")
    body += _PLACE.pack(0, _ANY, _ANY)
    size = _HEADER.size + len(body)
    return _HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0) + body
