"""A command that ran, as a recorded check: whether it is one, and what its output counts."""

import shlex
from collections.abc import Sequence

from bridge.model.response import clean
from bridge.process.run import CommandResult
from bridge.protocol import MAX_COMMAND_CHARS, CheckRun
from bridge.text import printed, shown
from bridge.tools.check_detection import counts_in, kind_of


def check_of(argv: Sequence[str], directory: str, finished: CommandResult) -> CheckRun | None:
    """The check that this command was; None when it is not known to be one."""
    kind = kind_of(argv)
    if kind is None:
        return None
    counts = counts_in(argv, printed(finished.stdout.text), finished.exit_code)
    return CheckRun(
        command=clean(shown(shlex.join(argv)))[:MAX_COMMAND_CHARS],
        working_directory=clean(directory)[:1_000],
        kind=kind,
        exit_code=finished.exit_code,
        duration_seconds=round(finished.duration_seconds, 3),
        passed=counts.passed if counts else None,
        failed=counts.failed if counts else None,
    )
