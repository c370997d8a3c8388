"""What nobody delivered is read in the threads that are ours, and has its effect once."""

import asyncio
import time

import pytest

from bot.domain.agent import (
    Agent,
    AgentStatus,
    OwnThread,
)
from playground.slack.fault_plan import FaultKind
from playground.slack.slack_state import BOT_USER_ID
from tests.integration.slack_events.conftest import STOP, Line


async def test_missed_replies_are_handed_over_in_order_and_once(line: Line) -> None:
    _, root = await line.in_thread()
    line.lose(times=3)
    await line.person("ben").say("first", thread_ts=root)
    await line.person("ana").say("second", thread_ts=root, mention=True)
    await line.person("ben").say("queue: third", thread_ts=root)
    assert await line.read()
    await line.settle()
    assert await line.read()
    assert await line.texts(3) == ["first", "second", "third"]
    assert len(line.harness.bridge.bodies("chat")) == 3


async def test_what_was_delivered_is_not_handed_over_again(line: Line) -> None:
    _, root = await line.in_thread()
    await line.person().say("use pytest", thread_ts=root)
    assert await line.texts(1) == ["use pytest"]
    await line.settle()
    assert await line.read()
    assert await line.texts(1) == ["use pytest"]


async def test_a_later_message_that_arrives_first_hides_no_earlier_one(line: Line) -> None:
    agent, root = await line.in_thread()
    line.lose()
    await line.person().say("missed", thread_ts=root)
    heard = await line.person().say("heard", thread_ts=root)
    assert await line.texts(1) == ["heard"]
    await line.settle()
    stored = await line.harness.stored(agent.id)
    assert stored.read_ts == heard
    assert await line.read()
    assert await line.texts(2) == ["heard", "missed"]
    again = await line.harness.stored(agent.id)
    assert again.read_ts == heard


async def stops_once(line: Line, agent: Agent, root: str) -> None:
    """Reads the missed stop, and reads it again after a restart, which it must not end."""
    assert await line.read()
    await line.harness.reaches(agent.id, AgentStatus.STOPPED)
    await line.person("ben").say("restart", thread_ts=root)
    await line.settle()
    assert await line.read()
    stored = await line.harness.stored(agent.id)
    assert stored.alive


async def test_a_missed_stop_word_stops_once_and_never_again(line: Line) -> None:
    agent, root = await line.in_thread()
    line.lose()
    await line.person("ben").say("Stop!", thread_ts=root)
    await stops_once(line, agent, root)


async def test_a_missed_stop_reaction_on_an_old_message_stops_the_agent_once(line: Line) -> None:
    agent, root = await line.in_thread()
    await line.person().say("use pytest", thread_ts=root)
    await line.texts(1)
    await line.settle()
    line.lose("reaction_added")
    await line.person("ben").react("general", root, f"{STOP}::skin-tone-3")
    await stops_once(line, agent, root)


async def test_the_reaction_of_the_bot_itself_stops_nothing(line: Line) -> None:
    agent, root = await line.in_thread()
    message = line.person().message("general", root)
    message.reactions[STOP] = [BOT_USER_ID]
    assert await line.read()
    stored = await line.harness.stored(agent.id)
    assert stored.alive


async def test_what_was_said_before_the_agent_came_is_none_of_its_business(line: Line) -> None:
    ana = line.person()
    root = await ana.say("the build is red")
    # A thread that is older than the agent by more than clocks differ.
    line.harness.clock.now = time.time() + 120
    await ana.say("since Monday", thread_ts=root)
    await ana.say("acme/api fix it", thread_ts=root, mention=True)

    async def look() -> bool | None:
        return bool(await line.harness.store.agents()) or None

    await line.harness.changes.found(look)
    await line.settle()
    assert await line.read()
    assert line.harness.bridge.bodies("chat") == []


async def test_more_missed_messages_than_a_page_holds_all_arrive(line: Line) -> None:
    _, root = await line.in_thread()
    line.lose(times=230)
    for number in range(230):
        await line.person().say(f"message {number}", thread_ts=root)
    assert await line.read()
    assert await line.texts(230) == [f"message {number}" for number in range(230)]


async def test_a_thread_that_cannot_be_read_keeps_no_other_from_being_read(line: Line) -> None:
    _, one = await line.in_thread()
    _, two = await line.in_thread(count=2)
    line.lose(times=2)
    await line.person().say("one", thread_ts=one)
    await line.person().say("two", thread_ts=two)
    line.slack.faults.fail("conversations.replies", FaultKind.ERROR, code="thread_not_found")
    assert await line.read()
    assert len(await line.texts(1)) == 1
    assert await line.read()
    assert sorted(await line.texts(2)) == ["one", "two"]


async def test_slack_is_read_at_its_pace_and_again_when_it_was_in_trouble(line: Line) -> None:
    _, root = await line.in_thread()
    line.lose()
    await line.person().say("missed", thread_ts=root)
    faults, clock = line.slack.faults, line.catch_up._clock
    faults.fail("conversations.replies", FaultKind.RATE_LIMITED, 2, seconds=30)
    begun = clock.now()
    assert await line.read()
    assert clock.now() - begun >= 60
    assert await line.texts(1) == ["missed"]
    for _ in range(12):
        assert await line.read()
    calls = len([e for e in line.slack.feed.entries("api_call") if "replies" in e.data["method"]])
    assert calls - 5 <= clock.now() - begun

    faults.fail("conversations.replies", FaultKind.SERVER_ERROR, 5)
    line.lose()
    await line.person().say("missed too", thread_ts=root)
    serving = asyncio.create_task(line.catch_up.serve())
    line.catch_up.note_missed(600)
    assert await line.texts(2) == ["missed", "missed too"]
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_a_bug_in_one_thread_hides_no_other_and_what_failed_whole_is_read_again(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, good_root = await line.in_thread()
    bad, bad_root = await line.in_thread("acme/api fix that too", count=2)
    catch_up, read = line.catch_up, line.catch_up._read  # the newest thread comes first

    async def fail_for_one(thread: OwnThread, since: float) -> None:
        if thread.agent.id == bad.id:
            raise ValueError("a bug")
        await read(thread, since)

    async def fail_whole(_since: float) -> bool:
        raise ValueError("a bug")

    monkeypatch.setattr(catch_up, "_read", fail_for_one)
    for root in (bad_root, good_root):
        line.lose()
        await line.person().say("missed", thread_ts=root)
    with monkeypatch.context() as patch:
        patch.setattr(catch_up, "read_threads", fail_whole)
        catch_up.note_missed(600)
        with pytest.raises(ValueError, match="a bug"):
            await catch_up.serve()
    serving = asyncio.create_task(catch_up.serve())
    assert await line.texts(1) == ["missed"]
    assert line.harness.bridge.routes(good.id)[-1] == "chat"
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
