import pytest

from playground.slack.errors import SlackError
from playground.slack.fault_plan import FaultPlan
from playground.slack.slack_settings import SlackSettings
from playground.slack.slack_state import SlackMessage, SlackState, default_state
from playground.slack.token_buckets import RateLimits
from playground.slack.trigger_tokens import TriggerTokens
from tests.harness.clocks import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(1_700_000_000.0)


def test_a_channel_takes_a_burst_and_then_one_post_a_second(clock: Clock) -> None:
    limits = RateLimits(clock, post_burst=3)
    assert [limits.post("C1") for _ in range(4)] == [0, 0, 0, 1]
    assert limits.post("C2") == 0
    clock.now += 1
    assert [limits.post("C1") for _ in range(2)] == [0, 1]
    clock.now += 60
    assert [limits.post("C1") for _ in range(4)] == [0, 0, 0, 1]


@pytest.mark.parametrize(("tier", "a_minute", "wait"), [(1, 1, 60), (2, 20, 3), (3, 50, 2)])
def test_a_tier_allows_its_calls_a_minute(
    clock: Clock, tier: int, a_minute: int, wait: int
) -> None:
    limits = RateLimits(clock)
    waits = [limits.call("some.method", tier) for _ in range(a_minute + 1)]
    assert waits == [0] * a_minute + [wait]
    assert limits.call("other.method", tier) == 0
    clock.now += wait
    assert limits.call("some.method", tier) == 0


def test_a_clock_that_runs_back_gives_nothing_away(clock: Clock) -> None:
    limits = RateLimits(clock, post_burst=1)
    assert limits.post("C1") == 0
    clock.now -= 100
    assert limits.post("C1") == 1


def test_limits_can_be_off(clock: Clock) -> None:
    limits = RateLimits(clock, enabled=False)
    assert {limits.post("C1") for _ in range(100)} == {0}


def test_timestamps_grow_whatever_the_clock_does(clock: Clock) -> None:
    workspace = SlackState(clock)
    seen = [workspace.next_ts()]
    for step in (0, 0, 1, -5, 0, 0.5):
        clock.now += step
        seen.append(workspace.next_ts())
    assert seen[0] == "1700000000.000100"
    assert seen == sorted(set(seen))


def grants(clock: Clock) -> TriggerTokens:
    return TriggerTokens(SlackSettings(clock=clock), SlackState(clock).next_token)


def test_a_trigger_is_good_once_and_for_three_seconds(clock: Clock) -> None:
    given = grants(clock)
    first, late = given.trigger("U1"), given.trigger("U1")
    assert given.take_trigger(first).user == "U1"
    with pytest.raises(SlackError, match="exchanged_trigger_id"):
        given.take_trigger(first)
    clock.now += 3.1
    with pytest.raises(SlackError, match="expired_trigger_id"):
        given.take_trigger(late)
    with pytest.raises(SlackError, match="invalid_trigger_id"):
        given.take_trigger("guess")


def test_a_response_url_is_good_five_times_and_for_half_an_hour(clock: Clock) -> None:
    given = grants(clock)
    token, late = (given.response_url("U1", "C1").rpartition("/")[2] for _ in range(2))
    for _ in range(5):
        assert given.take_response_url(token).channel == "C1"
    with pytest.raises(SlackError, match="used_url"):
        given.take_response_url(token)
    clock.now += 1_801
    with pytest.raises(SlackError, match="expired_url"):
        given.take_response_url(late)


def test_faults_are_taken_in_the_order_in_which_they_were_planned() -> None:
    faults = FaultPlan()
    faults.fail("m", "html", 2)
    faults.fail("m", "error", code="x")
    kinds = [fault.kind.value for _ in range(3) if (fault := faults.next_call("m"))]
    assert kinds == ["html", "html", "error"]
    assert faults.next_call("m") is None
    with pytest.raises(ValueError, match="sulk"):
        faults.fail("m", "sulk")


def test_a_root_knows_its_thread_until_the_last_reply_goes(clock: Clock) -> None:
    workspace = default_state(clock)
    root = workspace.add(SlackMessage("C0GENERAL0", workspace.next_ts(), "U1", "root"))
    reply = workspace.add(
        SlackMessage("C0GENERAL0", workspace.next_ts(), "U1", "reply", thread_ts=root.ts)
    )
    assert root.thread_ts == root.ts
    assert not root.is_reply
    workspace.remove(reply)
    assert root.thread_ts is None


def test_people_and_channels_are_found_by_name_and_id(clock: Clock) -> None:
    workspace = default_state(clock)
    assert workspace.user("@ana") == workspace.user("U00000ANA")
    assert workspace.channel("#dev") is workspace.channel("C000000DEV")
    with pytest.raises(KeyError):
        workspace.channel("")
    with pytest.raises(KeyError):
        workspace.user("nobody")
