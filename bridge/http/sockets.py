"""Opens the one socket of the bridge: a path for its group alone, or a TCP port."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BACKLOG = 128
_UNIX_MODE = 0o660


@contextmanager
def listening_socket(
    path: Path | None, gid: int | None, host: str, port: int
) -> Iterator[tuple[socket.socket, str]]:
    """Opens a socket at `path`, for its owner and the group `gid`; without a path, on TCP.

    With it comes its name for people: `unix:/path`, or `host:port`. What an earlier bridge left at
    `path` is replaced. Raises OSError, also when something that is no socket lies there.
    """
    if path is not None:
        with _at(path, gid) as listener:
            try:
                yield listener, f"unix:{path}"
            finally:
                path.unlink(missing_ok=True)
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=_BACKLOG) as listener:
        here = listener.getsockname()
        yield listener, f"{here[0]}:{here[1]}"


def _at(path: Path, gid: int | None) -> socket.socket:
    if os.path.lexists(path) and not stat.S_ISSOCK(path.lstat().st_mode):
        raise FileExistsError(f"{path} is there and is no socket")
    # Under another name first: at `path` there is never a socket that is not ready, or that
    # somebody else could use.
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)
        try:
            listener.bind(str(fresh))
        finally:
            os.umask(before)
        if gid is not None:
            os.chown(fresh, -1, gid)
        fresh.chmod(_UNIX_MODE)
        listener.listen(_BACKLOG)
        fresh.rename(path)
    except BaseException:
        listener.close()
        raise
    return listener
