"""Owns private files, short addresses of sockets, and the reading of bodies with a bound."""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path


class BodyTooLargeError(Exception):
    """A body is longer than its reader accepts."""


async def read_bounded(chunks: AsyncIterator[bytes], limit_bytes: int) -> bytes:
    """Reads a whole body; raises BodyTooLargeError as soon as it is beyond the limit."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit_bytes:
            raise BodyTooLargeError(f"more than {limit_bytes} bytes")
    return bytes(body)


def create_private_file(path: Path, content: bytes = b"") -> None:
    """Creates a file that only its owner reads; one that exists keeps its content. Raises OSError.

    The file appears whole, and of several processes that create it only the first one succeeds.
    """
    target = path.resolve()
    if target.exists():
        return
    with _private_copy(target, content) as copy, contextlib.suppress(FileExistsError):
        os.link(copy, target)


def replace_private_file(path: Path, content: bytes) -> None:
    """Writes a file that only its owner reads, whole or not at all. Raises OSError.

    A link stays a link: the file that it points to is replaced. The file keeps its owner.
    """
    target = path.resolve()
    with _private_copy(target, content) as copy:
        # Root may replace a file of the bot's own user, who must be able to read it afterwards.
        with contextlib.suppress(OSError):
            before = target.stat()
            os.chown(copy, before.st_uid, before.st_gid)
        copy.replace(target)


@contextlib.contextmanager
def _private_copy(target: Path, content: bytes) -> Iterator[Path]:
    """Writes the content beside `target`, flushed to the disk; removes the copy at the end."""
    copy = target.with_name(f".{target.name}-{secrets.token_hex(8)}")
    descriptor = os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield copy
    finally:
        copy.unlink(missing_ok=True)


@contextlib.contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """Gives an address of the socket at `path`, which need not exist yet. Raises OSError.

    The address leads through the open folder, because the kernel accepts 107 bytes only.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


@contextlib.contextmanager
def untrusted_socket_address(path: Path) -> Iterator[str]:
    """Gives an address of the socket at `path`, in a folder that a stranger writes to.

    The path is opened without following a link, and the address leads to that very file, whatever
    replaces it meanwhile. Raises OSError, also when the file is no socket.
    """
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENOTSOCK, os.strerror(errno.ENOTSOCK), str(path))
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
