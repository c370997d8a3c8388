"""Makes this process unreadable to its siblings, and lets it end with its parent.

Every process of the container imports it, so it needs the standard library alone.
"""

import ctypes
import os
import signal
import sys

_SET_PDEATHSIG = 1
_SET_DUMPABLE = 4


def hide_from_siblings() -> None:
    """Stops processes of the same user from reading this one's memory and environment.

    Raises OSError.
    """
    _prctl(_SET_DUMPABLE, 0)


def end_with_parent() -> None:
    """Ends this process when its parent ends; at once, if it has. Raises OSError."""
    parent = os.getppid()
    _prctl(_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        sys.exit(1)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")
