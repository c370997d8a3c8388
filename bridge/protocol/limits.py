"""Names the protocol's version, and the bounds of what crosses the wire.

The reader enforces them too: the container is untrusted.
"""

from typing import Annotated

from pydantic import Field

PROTOCOL_VERSION = 1

MAX_TASK_CHARS = 40_000
MAX_RESULT_CHARS = 8_000
MAX_SAVED_RESULT_CHARS = 2_000_000  # of a long tool result, whole; beyond it nobody reads
MAX_MESSAGE_CHARS = 200_000
MAX_FRAME_BYTES = 1_048_576
MAX_MODEL_CHARS = 200
MAX_PATCH_BYTES = 20 * 1_048_576
MAX_CONVERSATION_BYTES = 32 * 1_048_576
MAX_ATTACHMENT_BYTES = 8 * 1_048_576
MAX_CHANGED_FILES = 5_000
MAX_QUEUED_MESSAGES = 20
MAX_WAITING_MESSAGES = MAX_QUEUED_MESSAGES + 5  # with those that interrupt and shorten the queue
MAX_VARIABLES = 256  # of an agent's tools: those of its four places together
SMALLEST_CONTEXT_TOKENS = 2_048  # a model with less is no use to an agent
MAX_SEQ = 10**14  # well within the 15 digits that `after` and Last-Event-ID may have
MAX_COUNT = 2**53  # beyond it, readers of JSON round
MAX_SECONDS = 10**9
MAX_DOLLARS = 10**9
MAX_PATH_CHARS = 4_096

Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
TaskText = Annotated[str, Field(min_length=1, max_length=MAX_TASK_CHARS)]
# What git is told: a NUL would end its argument, a line end its line.
CONTROLS = r"\x00-\x1f\x7f"  # the range of a regular expression
NO_CONTROLS = rf"^[^{CONTROLS}]+$"
CloneUrl = Annotated[
    str,
    Field(min_length=8, max_length=2_000, pattern=rf"^(https?|file)://[^@\s{CONTROLS}]+$"),
]
Branch = Annotated[str, Field(min_length=1, max_length=250, pattern=NO_CONTROLS)]
Line = Annotated[str, Field(max_length=1_000)]
ModelName = Annotated[str, Field(min_length=1, max_length=MAX_MODEL_CHARS)]
Steps = Annotated[int, Field(ge=1, le=1_000)]
# Every number is finite and bounded, for the writer as for the reader: NaN and infinity have no
# JSON, so that a reader would store what it can never read again.
Seq = Annotated[int, Field(ge=0, le=MAX_SEQ)]
Count = Annotated[int, Field(ge=0, le=MAX_COUNT)]
Tally = Annotated[int, Field(ge=-MAX_COUNT, le=MAX_COUNT)]  # earlier images told negative ones
StepNumber = Annotated[int, Field(ge=0, le=2**31 - 1)]  # what a column of 32 bits holds
ExitCode = Annotated[int, Field(ge=-(2**31), le=2**32 - 1)]
# A clock that was set back makes a duration negative, which is no reason to lose its event.
Seconds = Annotated[float, Field(ge=-MAX_SECONDS, le=MAX_SECONDS, allow_inf_nan=False)]
Moment = Annotated[float, Field(ge=0, le=10**11, allow_inf_nan=False)]  # a date has four digits
Dollars = Annotated[float, Field(ge=0, le=MAX_DOLLARS, allow_inf_nan=False)]
FilePath = Annotated[str, Field(max_length=MAX_PATH_CHARS)]
