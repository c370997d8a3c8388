"""What is stored reaches Slack once, whatever breaks on the way."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
from sqlalchemy import delete

from bot.domain.posts import (
    OpenRow,
    Post,
    PostContent,
)
from bot.errors import ChannelUnavailable
from bot.store import tables
from bot.store.outbox import SqlOutboxRows
from tests.integration.slack.bench import ANSWER, CARD, FILE, MARK, ROOT, SlackBench, card
from tests.integration.slack.fake_slack import (
    FakeSlack,
    Fault,
    agent,
    refuses,
    reset,
    status,
    too_fast,
)


@pytest.mark.parametrize(
    "fault",
    [reset(), status(500), status(200, "nonsense", "text/plain")],
    ids=["reset", "error", "nonsense"],
)
@pytest.mark.parametrize("post", [ROOT, CARD, FILE], ids=lambda post: post.key)
async def test_a_link_that_breaks_after_the_effect_leaves_one_copy(
    bench: SlackBench, slack: FakeSlack, post: Post, fault: Fault
) -> None:
    await bench.enqueue(ROOT)
    if post is not ROOT:
        await bench.deliver()
        await bench.enqueue(post)
    method = "chat.postMessage" if post is not FILE else "files.completeUploadExternal"
    slack.after[method] = [fault]
    await bench.deliver()
    assert len(slack.messages) == (1 if post is ROOT else 2)
    assert len(slack.times(method)) == (2 if post is CARD else 1)
    assert bench.dead == []


@pytest.mark.parametrize(
    "fault",
    [reset(), status(503), refuses("internal_error")],
    ids=["reset", "error", "internal"],
)
async def test_a_failure_before_the_effect_is_tried_again(
    bench: SlackBench, slack: FakeSlack, fault: Fault
) -> None:
    slack.before["chat.postMessage"] = [fault] * 4
    await bench.enqueue(ROOT)
    await bench.deliver()
    assert slack.texts() == ["root"]
    times = slack.times("chat.postMessage")
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert waits == sorted(waits)
    assert waits[-1] > 4


@pytest.mark.parametrize("post", [ROOT, CARD, FILE], ids=lambda post: post.key)
async def test_a_sender_killed_before_it_stored_the_ts_leaves_one_copy(
    bench: SlackBench, slack: FakeSlack, post: Post
) -> None:
    await bench.enqueue(ROOT)
    if post is not ROOT:
        await bench.deliver()
    await bench.enqueue(post)
    slack.hold = "files.completeUploadExternal" if post is FILE else "chat.postMessage"
    async with bench.sender():
        await slack.held.wait()
    slack.hold = ""
    slack.release.set()
    await bench.deliver()
    assert len(slack.messages) == (1 if post is ROOT else 2)
    if post is not FILE:
        assert set(slack.copies().values()) == {1}
        found = await bench.store.agent_of_message("T1", "C1", slack.messages[-1]["ts"])
        assert found is not None


async def test_a_sender_killed_before_slack_heard_of_the_post_sends_it(
    bench: SlackBench, slack: FakeSlack
) -> None:
    await bench.enqueue(ROOT)
    (row,) = await bench.store.outbox_rows.open()
    await bench.store.outbox_rows.begin(row.id)
    await bench.deliver()
    assert slack.texts() == ["root"]
    assert [name for name, _, _ in slack.calls] == ["conversations.history", "chat.postMessage"]


async def test_a_newer_version_stored_during_the_doubt_ends_as_an_edit(
    bench: SlackBench, slack: FakeSlack
) -> None:
    await bench.enqueue(ROOT)
    await bench.deliver()
    slack.after["chat.postMessage"] = [reset()]
    slack.before["conversations.replies"] = [status(502), too_fast(9)]
    await bench.enqueue(card("1"))
    slack.hold = "chat.postMessage"
    async with bench.sender() as outbox:
        await slack.held.wait()
        await bench.enqueue(card("2"))
        slack.release.set()
        assert await outbox.drain(10)
    assert slack.texts() == ["root", "2"]


class SlowRows(SqlOutboxRows):
    """Rows whose answers arrive late: the database has moved on when the reader gets them."""

    begin_gate: asyncio.Event
    open_gate: asyncio.Event
    opened: asyncio.Event
    beginning: asyncio.Event

    async def open(self) -> Sequence[OpenRow]:
        rows = await super().open()
        self.opened.set()
        await self.open_gate.wait()
        return rows

    async def begin(self, row_id: str) -> PostContent | None:
        self.beginning.set()
        await self.begin_gate.wait()
        return await super().begin(row_id)


async def test_rows_read_before_a_delivery_ended_are_not_trusted(
    bench: SlackBench, slack: FakeSlack
) -> None:
    rows = SlowRows(bench.store._engines)
    rows.begin_gate, rows.open_gate = asyncio.Event(), asyncio.Event()
    rows.opened, rows.beginning = asyncio.Event(), asyncio.Event()
    rows.open_gate.set()
    bench.store.outbox_rows = rows
    await bench.enqueue(ROOT)
    slack.hold = "chat.postMessage"
    async with bench.sender() as outbox:
        await rows.beginning.wait()
        rows.open_gate.clear()
        rows.opened.clear()
        outbox.wake()
        await rows.opened.wait()
        rows.begin_gate.set()
        await slack.held.wait()
        await bench.enqueue(replace(ROOT, payload={"text": "root 2"}))
        slack.hold = ""
        outbox._woken.clear()
        slack.release.set()
        await outbox._woken.wait()
        assert not outbox._in_flight
        bench.clock._now += 5
        rows.open_gate.set()
        assert await outbox.drain(10)
    assert slack.texts() == ["root 2"]


async def test_a_sender_that_fails_and_runs_again_sends_what_it_had_just_begun(
    bench: SlackBench, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_event: asyncio.Event, _seconds: float | None) -> None:
        raise ValueError("a bug")

    await bench.enqueue(ROOT)
    outbox = bench.outbox()
    with monkeypatch.context() as patch:
        patch.setattr(bench.clock, "wait", fail)
        with pytest.raises(ExceptionGroup, match="unhandled errors"):
            await outbox.run()
    assert slack.texts() == []
    sending = asyncio.create_task(outbox.run())
    assert await outbox.drain(10)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    assert slack.texts() == ["root"]


async def test_an_old_root_is_found_on_a_later_page(bench: SlackBench, slack: FakeSlack) -> None:
    slack.messages += [{"ts": f"{n}.0", "text": "x", "metadata": None} for n in range(3)]
    slack.after["chat.postMessage"] = [reset()]
    await bench.enqueue(ROOT)
    await bench.deliver()
    assert slack.texts().count("root") == 1


async def test_retry_after_is_kept_for_the_channel_and_others_go_on(
    bench: SlackBench, slack: FakeSlack
) -> None:
    async with bench.store.transaction() as tx:
        await tx.add_agent(agent("a2", channel="C2"))
        await tx.enqueue("a1", ROOT)
        await tx.enqueue("a2", replace(ROOT, channel="C2", payload={"text": "other"}))
    slack.before["chat.postMessage"] = [too_fast(30)]
    await bench.deliver()
    held, free, again = slack.times("chat.postMessage")
    assert free == held
    assert again == pytest.approx(held + 30)
    assert slack.texts() == ["other", "root"]


async def test_a_strange_retry_after_waits_a_second(bench: SlackBench, slack: FakeSlack) -> None:
    slack.before["chat.postMessage"] = [status(429), too_fast(-5)]
    await bench.enqueue(ROOT)
    await bench.deliver()
    first, second, third = slack.times("chat.postMessage")
    assert (second - first, third - second) == pytest.approx((1.05, 1.05))


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("not_in_channel", "Type `/invite @threadsmith` here"),
        ("channel_not_found", "Type `/invite @threadsmith` here"),
        ("is_archived", "archived"),
        ("restricted_action", "Ask an admin"),
        ("a_code_of_tomorrow", "a_code_of_tomorrow"),
    ],
)
async def test_a_refusal_is_final_told_once_and_explained(
    bench: SlackBench, slack: FakeSlack, code: str, says: str
) -> None:
    slack.before["chat.postMessage"] = [refuses(code)] * 9
    await bench.enqueue(ROOT, CARD, ANSWER, FILE)
    async with bench.sender() as outbox:
        with pytest.raises(ChannelUnavailable) as caught:
            await outbox.sent("a1", "root", 10)
        with pytest.raises(ChannelUnavailable):
            await outbox.sent("a1", "answer", 10)
        assert await outbox.drain(10)
        await bench.enqueue(card("later"))
        assert await outbox.drain(10)
    await bench.deliver()
    assert says in caught.value.user_text
    assert bench.dead == [("a1", "root", code)]
    assert len(slack.calls) == 1


async def test_a_card_that_is_gone_is_told_once_and_not_edited_again(
    bench: SlackBench, slack: FakeSlack
) -> None:
    await bench.enqueue(ROOT, card("1"))
    await bench.deliver()
    slack.messages.pop()
    for number in range(3):
        await bench.enqueue(card(f"more {number}"))
        await bench.deliver()
    await bench.enqueue(ANSWER)
    await bench.deliver()
    assert bench.dead == [("a1", "card", "message_not_found")]
    assert len(slack.times("chat.update")) == 1
    assert slack.texts() == ["root", "answer"]


async def test_blocks_that_slack_refuses_are_left_out_once(
    bench: SlackBench, slack: FakeSlack
) -> None:
    slack.before["chat.postMessage"] = [refuses("invalid_blocks")]
    await bench.enqueue(replace(ROOT, payload={"text": "root", "blocks": [{"type": "odd"}]}))
    await bench.deliver()
    assert slack.texts() == ["root"]
    assert "blocks" not in slack.messages[0]
    slack.before["chat.postMessage"] = [refuses("msg_blocks_too_long"), refuses("msg_too_long")]
    await bench.enqueue(replace(ANSWER, payload={"text": "x", "blocks": [{"type": "odd"}]}))
    await bench.deliver()
    assert bench.dead == [("a1", "answer", "msg_too_long")]
    assert len(slack.calls) == 4


async def test_a_callback_that_fails_does_not_end_the_sender(
    bench: SlackBench, slack: FakeSlack, caplog: pytest.LogCaptureFixture
) -> None:
    async def on_dead(*_: str) -> None:
        raise RuntimeError("a bug")

    slack.before["chat.postMessage"] = [refuses("msg_too_long")]
    async with bench.sender() as outbox:
        outbox._on_dead = on_dead
        await bench.enqueue(ROOT, MARK)
        assert await outbox.drain(5)
    assert slack.reactions == {("7.7", "eyes")}
    assert "a bug" in caplog.text


async def test_no_connection_at_all_is_tried_again_without_a_lookup(
    bench: SlackBench, slack: FakeSlack, unused_tcp_port_factory: Callable[[], int]
) -> None:
    there = bench.client.base_url
    bench.client.base_url = f"http://127.0.0.1:{unused_tcp_port_factory()}/api/"
    await bench.enqueue(ROOT)
    async with bench.sender() as outbox:
        bench.clock.sleepers += 1
        await bench.clock.sleep(10)
        bench.clock.leave()
        bench.client.base_url = there
        assert await outbox.drain(5)
    assert [name for name, _, _ in slack.calls] == ["chat.postMessage"]
    assert "canary" not in str(slack.messages)


class VanishingRows(SqlOutboxRows):
    """Rows one of which is gone when its delivery begins, as an agent's are when it is pruned."""

    vanished: asyncio.Event

    async def begin(self, row_id: str) -> PostContent | None:
        async with self._engines.writing() as connection:
            await connection.execute(delete(tables.outbox).where(tables.outbox.c.key == "card"))
        content = await super().begin(row_id)
        if content is None:
            self.vanished.set()
            raise RuntimeError("there is no such row")
        return content


async def test_a_post_that_goes_away_while_it_fails_takes_no_memory(bench: SlackBench) -> None:
    await bench.enqueue(ROOT)
    await bench.deliver()
    async with bench.sender() as outbox:
        rows = VanishingRows(bench.store._engines)
        rows.vanished = asyncio.Event()
        outbox._rows = rows
        await bench.enqueue(CARD)
        # There is nothing open any more before the delivery has failed.
        await rows.vanished.wait()
        assert await outbox.drain(20)
        assert len(outbox._backoff) == 1
        await bench.clock.sleep(10)
        await bench.enqueue(ANSWER)
        assert await outbox.drain(20)
        assert outbox._backoff == {}
