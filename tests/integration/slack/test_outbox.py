"""What the sender shows, in which order, and how fast."""

import asyncio
from dataclasses import replace
from itertools import pairwise

import pytest

from tests.integration.slack.bench import ANSWER, CARD, FILE, MARK, ROOT, SlackBench, card
from tests.integration.slack.fake_slack import (
    FakeSlack,
    agent,
    status,
    too_fast,
)

STEPS = 200
OUTAGE_SECONDS = 600


async def test_the_root_starts_the_thread_and_the_others_follow_in_it(
    bench: SlackBench, slack: FakeSlack
) -> None:
    await bench.enqueue(ROOT, CARD, ANSWER)
    async with bench.sender() as outbox:
        root_ts = await outbox.sent("a1", "root", 10)
        assert await outbox.drain(10)
        assert await outbox.sent("a1", "answer", 10) == slack.messages[1]["ts"]
    assert slack.texts() == ["root", "answer", "card"]
    assert [message.get("thread_ts") for message in slack.messages] == [None, root_ts, root_ts]
    assert all(m["unfurl_links"] is False is m["unfurl_media"] for m in slack.messages)
    times = slack.times("chat.postMessage")
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == pytest.approx([1.05, 1.05])
    found = await bench.store.agent_of_message("T1", "C1", slack.messages[2]["ts"])
    assert found
    assert found.id == "a1"


async def test_newer_content_edits_the_message_and_the_same_content_makes_no_call(
    bench: SlackBench, slack: FakeSlack
) -> None:
    await bench.enqueue(ROOT, card("1"))
    async with bench.sender() as outbox:
        assert await outbox.drain(10)
        await bench.enqueue(replace(CARD, payload={"text": "2", "blocks": [{"type": "divider"}]}))
        assert await outbox.drain(10)
        before = len(slack.calls)
        await bench.enqueue(replace(CARD, payload={"blocks": [{"type": "divider"}], "text": "2"}))
        assert await outbox.drain(10)
        assert len(slack.calls) == before
        await bench.enqueue(card("3"))
        assert await outbox.drain(10)
    assert slack.texts() == ["root", "3"]
    assert slack.messages[1]["blocks"] == []
    await bench.deliver()
    assert len(slack.times("chat.postMessage")) == 2
    assert len(slack.times("chat.update")) == 2


async def test_reactions_converge_and_what_is_so_already_is_a_success(
    bench: SlackBench, slack: FakeSlack
) -> None:
    slack.reactions.add(("7.7", "eyes"))
    await bench.enqueue(MARK)
    await bench.deliver()
    gone = replace(MARK, payload={**MARK.payload, "present": False})
    await bench.enqueue(gone)
    await bench.deliver()
    assert slack.reactions == set()
    await bench.enqueue(replace(gone, key="never added"))
    await bench.deliver()
    assert len(slack.calls) == 2
    assert bench.dead == []


async def test_a_file_is_uploaded_into_the_thread(bench: SlackBench, slack: FakeSlack) -> None:
    await bench.enqueue(ROOT, FILE)
    async with bench.sender() as outbox:
        assert await outbox.sent("a1", "patch", 10) == ""
    assert list(slack.uploads.values()) == [b"\x00+x"]
    assert slack.messages[1]["thread_ts"] == slack.messages[0]["ts"]
    assert slack.messages[1]["files"][0]["title"] == "A"


async def test_answers_keep_their_order_when_the_first_of_them_fails(
    bench: SlackBench, slack: FakeSlack
) -> None:
    await bench.enqueue(ROOT)
    await bench.deliver()
    slack.before["chat.postMessage"] = [status(500), too_fast(3)]
    parts = [replace(ANSWER, key=f"answer-{n}", payload={"text": f"part {n}"}) for n in range(3)]
    await bench.enqueue(CARD, *parts)
    await bench.deliver()
    assert [text for text in slack.texts() if text.startswith("part")] == [
        "part 0",
        "part 1",
        "part 2",
    ]


@pytest.mark.timeout(240)
async def test_twenty_busy_agents_are_coalesced_and_every_answer_comes_first(
    bench: SlackBench, slack: FakeSlack
) -> None:
    slack.limit_posts = True
    slack.before["chat.update"] = [too_fast(20)] * 5
    ids = [f"b{number:02}" for number in range(20)]
    async with bench.store.transaction() as tx:
        for agent_id in ids:
            await tx.add_agent(agent(agent_id, thread_ts="1.1"))
    bench.clock.sleepers = 1 + len(ids)
    answered: dict[str, float] = {}

    async def work(agent_id: str) -> None:
        for step in range(STEPS):
            await bench.enqueue(card(f"{agent_id} step {step}"), agent_id=agent_id)
            await bench.clock.sleep(1.5)
        answered[f"{agent_id} answer"] = bench.clock.now()
        done = replace(ANSWER, payload={"text": f"{agent_id} answer"})
        await bench.enqueue(done, card(f"{agent_id} done"), agent_id=agent_id)
        bench.clock.leave()

    async with bench.sender() as outbox:
        await asyncio.gather(*(work(agent_id) for agent_id in ids))
        assert await outbox.drain(30)
    texts = slack.texts()
    assert sorted(text for text in texts if text.endswith("answer")) == sorted(answered)
    assert sorted(text for text in texts if text.endswith("done")) == [f"{i} done" for i in ids]
    assert len(slack.messages) == 40
    assert set(slack.copies().values()) == {1}
    assert slack.refused == 0
    assert bench.dead == []
    posts = [(call["text"], at) for name, call, at in slack.calls if name == "chat.postMessage"]
    late = max(at - answered[text] for text, at in posts if text in answered)
    assert late <= 1.05 * len(ids) + 1
    edits = slack.times("chat.update")
    assert len(edits) < 20 * STEPS / 4
    assert all(len([x for x in edits if at <= x < at + 60]) <= 50 for at in edits)


async def test_ten_minutes_without_slack_end_with_every_answer_in_order_and_the_newest_card(
    bench: SlackBench, slack: FakeSlack
) -> None:
    await bench.enqueue(ROOT)
    await bench.deliver()
    slack.down_until = bench.clock.now() + OUTAGE_SECONDS
    bench.clock.sleepers = 2

    async def work() -> None:
        for step in range(OUTAGE_SECONDS // 10):
            await bench.enqueue(card(f"step {step}"))
            if step % 10 == 9:
                done = replace(ANSWER, key=f"answer:{step}", payload={"text": f"answer {step}"})
                await bench.enqueue(done)
            await bench.clock.sleep(10)
        bench.clock.leave()

    async with bench.sender() as outbox:
        await work()
        assert await outbox.drain(20)
    texts = slack.texts()
    answers = [f"answer {step}" for step in range(9, OUTAGE_SECONDS // 10, 10)]
    assert [text for text in texts if text.startswith("answer")] == answers
    assert texts.count(f"step {OUTAGE_SECONDS // 10 - 1}") == 1
    assert len(texts) == 2 + len(answers)
    assert set(slack.copies().values()) == {1}
    assert bench.dead == []
    # Slack is not hammered while it is down: each post backs off to a try a minute.
    tries = [at for _, _, at in slack.calls if at < slack.down_until]
    assert len(tries) < (1 + len(answers)) * 20


async def test_an_answer_waits_behind_no_progress_of_others(
    bench: SlackBench, slack: FakeSlack
) -> None:
    async with bench.store.transaction() as tx:
        for number in range(30):
            await tx.add_agent(agent(f"p{number}", thread_ts="1.1"))
            await tx.enqueue(f"p{number}", card(str(number)))
        await tx.add_agent(agent("last", thread_ts="1.1"))
        await tx.enqueue("last", ANSWER)
    await bench.deliver()
    assert slack.texts()[0] == "answer"


async def test_waiting_for_a_post_ends_at_its_timeout(bench: SlackBench) -> None:
    async with bench.sender() as outbox:
        with pytest.raises(TimeoutError):
            await outbox.sent("a1", "never", 0.01)
        assert outbox._waiting == {}


async def test_draining_gives_up_at_its_timeout(bench: SlackBench) -> None:
    await bench.enqueue(CARD)
    async with bench.sender() as outbox:
        assert not await outbox.drain(0.05)
        await bench.enqueue(ROOT)
        assert await outbox.drain(5)
