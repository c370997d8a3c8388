"""Names how much a thread shows while a task is at work."""

from enum import StrEnum


class Verbosity(StrEnum):
    """`quiet`: the answers alone; `normal`: a live card; `verbose`: a message for each step too."""

    QUIET = "quiet"
    NORMAL = "normal"
    VERBOSE = "verbose"
