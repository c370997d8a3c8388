"""Who inside this network namespace holds the other end of a TCP connection."""

import socket
import sys

_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")


def uid_of(peer: tuple[str, int], here: tuple[str, int]) -> int | None:
    """The user id that owns the socket at `peer`, of a connection that came in at `here`.

    Both are (address, port) as the socket module gives them. None: nobody inside holds it, so it
    came from outside, or is gone already.
    """
    wanted = {(_row(peer, wide), _row(here, wide)) for wide in (False, True)}
    for table in _TABLES:
        try:
            with open(table, encoding="ascii") as lines:  # noqa: PTH123  (pathlib costs start time)
                for line in lines:
                    fields = line.split()
                    if (fields[1], fields[2]) in wanted:
                        return int(fields[7])
        except FileNotFoundError:
            continue  # a kernel without IPv6
    return None


def _row(address: tuple[str, int], wide: bool) -> str:
    """An address as the kernel's table writes it. `wide`: an IPv4 one held by an IPv6 socket."""
    host, port = address[0].partition("%")[0], address[1]
    if ":" in host:
        packed = socket.inet_pton(socket.AF_INET6, host)
    else:
        packed = socket.inet_aton(host)
        if wide:
            packed = bytes(10) + b"\xff\xff" + packed
    words = (packed[place : place + 4] for place in range(0, len(packed), 4))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{port:04X}"
