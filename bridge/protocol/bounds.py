"""The protocol's version and port, and the bounds of what crosses the wire.

The reader enforces them too: the container is untrusted.
"""

from typing import Annotated

from pydantic import Field

PROTOCOL_VERSION = 1
PORT = 3001

MAX_TASK_CHARS = 40_000
MAX_RESULT_CHARS = 8_000
MAX_MESSAGE_CHARS = 200_000
MAX_FRAME_BYTES = 1_048_576

Identifier = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]
TaskText = Annotated[str, Field(min_length=1, max_length=MAX_TASK_CHARS)]
Line = Annotated[str, Field(max_length=1_000)]
Steps = Annotated[int, Field(ge=1, le=1_000)]
