"""Opens, reads, writes and lists the files of the checkout; no path of the model leaves it.

`openat2` resolves a path beneath a directory in one step of the kernel, so that a link which is
swapped meanwhile cannot lead outside. Where the call is missing, every component is opened by
itself and no link at all is followed.
"""

import ctypes
import errno
import os
import posixpath
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bridge.errors import ToolError

_SYS_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_TRIES = 32
TEMPORARY_PREFIX = ".threadsmith-"
_REASONS = {
    errno.ENOENT: "there is no such file or directory",
    errno.ENOTDIR: "a part of the path is a file, not a directory",
    errno.EISDIR: "it is a directory",
    errno.EXDEV: "a link on the way leads outside the workspace",
    errno.ELOOP: "it goes through a link that cannot be followed safely",
    errno.EACCES: "permission denied",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.ENXIO: "it is not a regular file",
}


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """Describes a directory's entry. `size_bytes` is None except for files, `target` for links.

    Undecodable bytes of a name are kept as lone surrogates, as `os.fsdecode` makes them.
    """

    name: str
    kind: Literal["directory", "file", "link", "other"]
    size_bytes: int | None = None
    target: str | None = None


class Workspace:
    """A directory that no path may leave, whatever links it holds.

    Paths are relative to the root, or absolute and inside it. All methods block, and raise
    ToolError with the path and the reason.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def relative(self, path: str) -> str:
        """Returns the path relative to the root, without `.` and `..`; the root itself is `.`."""
        if not path or "\0" in path:
            raise ToolError("The path is empty or holds a NUL character.")
        try:
            path.encode()
        except UnicodeEncodeError as error:
            raise ToolError("The path is not valid text.") from error
        root = str(self.root)
        if path == root or path.startswith(root.rstrip("/") + "/"):
            path = path[len(root) :].lstrip("/") or "."
        normal = posixpath.normpath(path)
        if normal.startswith(("/", "../")) or normal == "..":
            raise ToolError(
                f"{path[:200]} lies outside the workspace. Use a path relative to it, or one "
                f"that begins with {root}/."
            )
        return normal

    def read_bytes(self, path: str, limit_bytes: int) -> bytes:
        """Reads a regular file, whole; refuses one that is larger than the limit."""
        name = self.relative(path)
        with _as_tool_errors(name), self._opened(name, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, "")
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.ENXIO, "")
            data = _read_up_to(descriptor, limit_bytes + 1)
        if len(data) > limit_bytes:
            raise ToolError(
                f"{name} is too large to read whole (over {limit_bytes} bytes). Look for what "
                "you need with search_files, or take a part of it with a command such as head."
            )
        return data

    def write_bytes(self, path: str, data: bytes) -> bool:
        """Puts a file in place in one step, with its directories; returns True when it is new.

        An existing file keeps its mode. A link to a file inside is written through. Nothing in a
        `.git` directory is written, by whatever way it is reached.
        """
        name = self.relative(path)
        with _as_tool_errors(name):
            _refuse_git(name)
            target, mode = self._destination(name)
            _refuse_git(target)
            parent, _, last = target.rpartition("/")
            descriptor = self._make_directories(parent or ".")
            try:
                _refuse_git(self._location(descriptor))
                _replace(descriptor, last, data, mode)
            finally:
                os.close(descriptor)
        return mode is None

    def entries(self, path: str) -> list[DirectoryEntry]:
        """Lists a directory, unsorted; links are not followed."""
        name = self.relative(path)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NONBLOCK
        with (
            _as_tool_errors(name),
            self._opened(name, flags) as descriptor,
            os.scandir(descriptor) as it,
        ):
            return [_entry(item, descriptor) for item in it]

    def names(self, path: str) -> list[str]:
        """Lists the names in a directory, for a hint; empty when it cannot be read."""
        with suppress(ToolError):
            return [entry.name for entry in self.entries(path)]
        return []

    @contextmanager
    def directory_of(self, path: str) -> Iterator[tuple[int, str, str]]:
        """Yields a descriptor of the directory in which a program is to start.

        It yields (descriptor, path of that directory relative to the root, name in it): the name is
        `.` when the path is the directory itself, else that of a regular file in it.
        """
        name = self.relative(path)
        with _as_tool_errors(name), self._opened(name, os.O_PATH) as descriptor:
            location = self._location(descriptor)
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
                raise OSError(errno.ENXIO, "")
        inside, last = (location, ".") if stat.S_ISDIR(mode) else _split(location)
        with _as_tool_errors(name):
            start = self._open(inside, os.O_PATH | os.O_DIRECTORY)
        try:
            yield start, inside, last
        finally:
            os.close(start)

    def _open(self, name: str, flags: int) -> int:
        root = os.open(self.root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return open_beneath(root, name, flags)
        finally:
            os.close(root)

    @contextmanager
    def _opened(self, name: str, flags: int) -> Iterator[int]:
        descriptor = self._open(name, flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _destination(self, name: str) -> tuple[str, int | None]:
        """Returns where a write lands after links, and the mode to keep (None: a new file)."""
        try:
            with self._opened(name, os.O_PATH) as descriptor:
                mode = os.fstat(descriptor).st_mode
                if stat.S_ISDIR(mode):
                    raise IsADirectoryError(errno.EISDIR, "")
                if not stat.S_ISREG(mode):
                    raise OSError(errno.ENXIO, "")
                return self._location(descriptor), stat.S_IMODE(mode)
        except FileNotFoundError:
            return name, None

    def _location(self, descriptor: int) -> str:
        """Returns where an open file lies now, relative to the root."""
        with self._opened(".", os.O_PATH) as root:
            base = _path_of(root).rstrip("/")
        path = _path_of(descriptor)
        if path == base:
            return "."
        if not path.startswith(base + "/"):
            raise OSError(errno.EXDEV, "")
        return path[len(base) + 1 :]

    def _make_directories(self, name: str) -> int:
        """Makes directories like `mkdir -p` beneath the root; the caller closes the descriptor."""
        flags = os.O_PATH | os.O_DIRECTORY
        with suppress(FileNotFoundError):
            return self._open(name, flags)
        parent, last = _split(name)
        above = self._make_directories(parent)
        try:
            _refuse_git(self._location(above))
            with suppress(FileExistsError):
                os.mkdir(last, dir_fd=above)
        finally:
            os.close(above)
        return self._open(name, flags)


@contextmanager
def _as_tool_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0) or os.strerror(error.errno or 0)
        raise ToolError(f"{name[:300]}: {reason}.") from error


def _refuse_git(name: str) -> None:
    if any(part.casefold() == ".git" for part in name.split("/")):
        raise ToolError(f"{name[:300]}: git's own files are not written by hand. Use git commands.")


def _split(name: str) -> tuple[str, str]:
    parent, _, last = name.rpartition("/")
    return parent or ".", last


def _path_of(descriptor: int) -> str:
    return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115  (a descriptor, not a path)


def _read_up_to(descriptor: int, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        chunk = os.read(descriptor, min(count - len(data), 1_048_576))
        if not chunk:
            break
        data += chunk
    return bytes(data)


def _replace(directory: int, name: str, data: bytes, mode: int | None) -> None:
    temporary = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o666, dir_fd=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if mode is not None:
                os.fchmod(descriptor, mode)
            file.write(data)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)
        raise


def _entry(item: os.DirEntry[str], directory: int) -> DirectoryEntry:
    try:
        if item.is_symlink():
            return DirectoryEntry(
                item.name, "link", target=os.readlink(item.name, dir_fd=directory)
            )
        if item.is_dir(follow_symlinks=False):
            return DirectoryEntry(item.name, "directory")
        if item.is_file(follow_symlinks=False):
            return DirectoryEntry(item.name, "file", item.stat(follow_symlinks=False).st_size)
    except OSError:
        pass  # it went away while we looked
    return DirectoryEntry(item.name, "other")


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.syscall.argtypes = (
    ctypes.c_long,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.POINTER(_OpenHow),
    ctypes.c_size_t,
)


def open_beneath(directory: int, path: str, flags: int) -> int:
    """Opens `path` (relative, no `..`) beneath `directory`; the caller closes the descriptor.

    Raises OSError; EXDEV when a link leads outside.
    """
    # The kernel takes O_PATH with hardly any other flag.
    flags |= os.O_CLOEXEC if flags & os.O_PATH else os.O_CLOEXEC | os.O_NOCTTY
    try:
        return _openat2(directory, path, flags)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
    return open_by_components(directory, path, flags)


def _openat2(directory: int, path: str, flags: int) -> int:
    how = _OpenHow(flags, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    name = os.fsencode(path)
    number = errno.EAGAIN
    for _ in range(_TRIES):
        descriptor = _libc.syscall(
            _SYS_OPENAT2, directory, name, ctypes.byref(how), ctypes.sizeof(how)
        )
        if descriptor >= 0:
            return int(descriptor)
        number = ctypes.get_errno()
        # EAGAIN: something was renamed meanwhile, and the kernel could not be sure.
        if number not in (errno.EAGAIN, errno.EINTR):
            break
    raise OSError(number, os.strerror(number), path)


def open_by_components(directory: int, path: str, flags: int) -> int:
    """Opens one component after the other, following no link. Raises OSError; ELOOP at a link."""
    *parents, last = [part for part in path.split("/") if part not in ("", ".")] or ["."]
    current = os.dup(directory)
    try:
        for part in parents:
            below = _open_component(current, part, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            os.close(current)
            current = below
        return _open_component(current, last, flags)
    finally:
        os.close(current)


def _open_component(directory: int, name: str, flags: int) -> int:
    if name == "..":
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
    descriptor = os.open(name, flags | os.O_NOFOLLOW, dir_fd=directory)
    # With O_PATH a link is opened itself instead of being refused.
    if flags & os.O_PATH and stat.S_ISLNK(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
    return descriptor
