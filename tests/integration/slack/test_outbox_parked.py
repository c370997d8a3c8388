"""A post that Slack does not take for a day is parked, reported once, and not tried for ever."""

import itertools

from tests.integration.slack.bench import ANSWER, ROOT, SlackBench
from tests.integration.slack.fake_slack import FakeSlack, status


async def test_a_post_that_fails_for_a_day_is_parked_and_reported_once(
    bench: SlackBench, slack: FakeSlack
) -> None:
    await bench.enqueue(ROOT)
    await bench.deliver()
    slack.before["chat.postMessage"] = [status(503)] * 100
    slack.before["conversations.replies"] = [status(503)] * 100
    hours = itertools.count()
    bench.store.outbox_rows.clock = lambda: 1_700_000_000.0 + next(hours) * 3_600.0
    await bench.enqueue(ANSWER)
    async with bench.sender() as outbox:
        assert await outbox.drain(50)
    assert 24 < next(hours) < 28
    assert bench.dead == [("a1", "answer", "given_up_after_http_503")]
    assert await bench.store.outbox_rows.open() == []
    calls = len(slack.calls)
    await bench.deliver()
    assert len(slack.calls) == calls
