"""Opens paths that cannot leave a directory, even while someone swaps links under our feet.

`openat2` resolves a path beneath a directory in one step of the kernel. Where it is missing, every
component is opened by itself and no link at all is followed.
"""

import ctypes
import errno
import os
import stat

_SYS_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08
_TRIES = 32


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
    """A descriptor of `path` (relative, no `..`) beneath `directory`; the caller closes it.

    Raises OSError; EXDEV when a link leads outside.
    """
    # The kernel takes O_PATH with hardly any other flag.
    flags |= os.O_CLOEXEC if flags & os.O_PATH else os.O_CLOEXEC | os.O_NOCTTY
    try:
        return _openat2(directory, path, flags)
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM):
            raise
    return walk(directory, path, flags)


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


def walk(directory: int, path: str, flags: int) -> int:
    """One component after the other, following no link. Raises OSError; ELOOP at a link."""
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
