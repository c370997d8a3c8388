"""What every event is: one immutable fact with a number and a time."""

import time

from pydantic import BaseModel, ConfigDict, Field


class Event(BaseModel):
    """Base of the events: one immutable fact. `at` is in seconds since the epoch, UTC.

    Stored events carry a gapless `seq` from 1; events that are only passing by (`text_delta`,
    `tool_output`) carry 0 and are not replayed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    seq: int = 0
    at: float = Field(default_factory=time.time)
    task_id: str | None = Field(default=None, max_length=64)
