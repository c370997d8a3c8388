"""Who waits for another waits longer than that one may take."""

import pytest

from bot.agents import deadlines
from bot.bridge_client.http import ClientLimits
from bridge import protocol
from bridge.runner import client
from bridge.runner.operations import attach_file, commit_all, read_diff

LIMITS = ClientLimits()


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        (deadlines.INTERRUPT_WAIT_SECONDS, protocol.INTERRUPT_SECONDS),
        (LIMITS.answer_seconds, protocol.INTERRUPT_SECONDS),
        (LIMITS.diff_seconds, protocol.RUNNER_SECONDS + read_diff.seconds),
        (
            LIMITS.apply_seconds,
            protocol.BODY_SECONDS + protocol.RUNNER_SECONDS + attach_file.seconds,
        ),
        (LIMITS.push_seconds, commit_all.seconds + protocol.PUSH_COMMAND_SECONDS),
        (protocol.INTERRUPT_SECONDS, 2 * protocol.TOOL_DEATH_SECONDS + protocol.LAST_LOOK_SECONDS),
    ],
)
def test_the_outer_deadline_is_the_longer_one(outer: float, inner: float) -> None:
    assert outer > inner


def test_the_last_tool_dies_within_five_seconds_of_a_stop() -> None:
    ending = client._CANCEL_SECONDS + client._RESET_SECONDS
    assert ending <= protocol.TOOL_DEATH_SECONDS < 5
    assert deadlines.PULSE_SECONDS < 5
