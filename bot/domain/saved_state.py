"""The parts of an agent that outlive its container: kept after each task, and read at a stop."""

from dataclasses import dataclass

from bot.domain.agent import Leftover
from bot.domain.task_card import TaskCard
from bridge.protocol import Diff

# Of a patch in the thread; what the host keeps may be a little larger.
MAX_FILED_PATCH_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class SavedState:
    """The host's copy of an agent after a task, from which a new container goes on.

    `at` is in seconds since the epoch, `last_seq` the newest event that it includes.
    """

    conversation: bytes
    patch: bytes
    last_seq: int
    at: float


@dataclass(frozen=True, slots=True)
class SavedWork:
    """The work of a stopped agent, as its thread shows it.

    `diff` is None when it was not read. `patch` is as of the stop when it is `newest`, as of the
    end of the last task otherwise, and in the thread when it `fits`. `leftover` is the reason to
    keep its files. `pushed`: its commits are on its branch at the host. `card` is that of the task
    that the stop ended, if one was at work.
    """

    diff: Diff | None
    patch: bytes
    pushed: bool = False
    card: TaskCard | None = None
    newest: bool = False
    leftover: Leftover = Leftover.NOTHING
    fits: bool = True


def fits_thread(patch: bytes) -> bool:
    """Checks whether a patch is small enough to be a file in the thread."""
    return len(patch) <= MAX_FILED_PATCH_BYTES
