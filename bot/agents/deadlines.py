"""Sets how long the bot waits for a bridge: its own deadline plus the way there and back."""

from bridge.protocol import (
    CHANGE_SECONDS,
    INTERRUPT_SECONDS,
    PUSH_SECONDS,
    READ_SECONDS,
    TOOL_DEATH_SECONDS,
)

_WAY_SECONDS = 1.0  # there and back, and for the answer to be written
_BODY_WAY_SECONDS = 10.0  # the same for a body of megabytes

INTERRUPT_WAIT_SECONDS = INTERRUPT_SECONDS + _WAY_SECONDS
READ_WAIT_SECONDS = READ_SECONDS + _BODY_WAY_SECONDS
CHANGE_WAIT_SECONDS = CHANGE_SECONDS + _BODY_WAY_SECONDS
PUSH_WAIT_SECONDS = PUSH_SECONDS + _WAY_SECONDS

# A bridge that shows no life at a stop ends no tool either: its container is killed instead.
PULSE_SECONDS = TOOL_DEATH_SECONDS - _WAY_SECONDS

# At a stop a person waits, so these are shorter than what the bridge may take: what does not fit
# is read later, from the files that are kept for that.
STOP_DIFF_SECONDS = 10.0
STOP_PATCH_SECONDS = 10.0
STOP_EXPORT_SECONDS = 10.0
STOP_PUSH_SECONDS = 10.0
