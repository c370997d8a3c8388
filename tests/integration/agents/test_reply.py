import asyncio
from dataclasses import replace

import pytest

from bot.agents.service import ThreadMessage
from bot.domain.agent import AgentStatus, ThreadRef
from bot.domain.message import Message, MessageKind
from bridge.protocol import ChatMode, ErrorCode, MessageTakenUp, WireError
from tests.harness.app import COMMAND, ORIGIN, AppHarness


async def test_a_reply_is_stored_marked_as_received_and_handed_over(harness: AppHarness) -> None:
    agent = await harness.working()
    assert await harness.reply(agent, "5.1", "use pytest")
    await harness.asked("chat")
    request = harness.bridge.bodies("chat")[0]
    assert (request.message_id, request.text, request.author) == ("5.1", "use pytest", "UBEN")
    assert request.mode is ChatMode.STEER
    mark = (await harness.shown(agent.id))["mark:5.1:eyes"]
    assert mark.payload == {"ts": "5.1", "name": "eyes", "present": True}


async def test_a_reply_that_the_model_has_seen_is_marked_as_used(harness: AppHarness) -> None:
    agent = await harness.working()
    await harness.reply(agent, "5.1")
    await harness.asked("chat")
    harness.bridge.push(agent.id, MessageTakenUp(at=1.0, message_id="5.1"))
    await harness.changes.found(lambda: _post(harness, agent.id, "mark:5.1:white_check_mark"))


async def test_what_is_no_message_of_the_thread_is_not_marked_as_used(harness: AppHarness) -> None:
    agent = await harness.working()
    await harness.reply(agent, "5.1")
    await harness.asked("chat")
    async with harness.store.transaction() as tx:
        pressed = Message("7.1", agent.id, "UANA", "go on", "t", kind=MessageKind.PRESSED)
        await tx.add_message(pressed)
    taken = [MessageTakenUp(at=1.0, message_id=name) for name in ("9.9", "7.1", "5.1")]
    harness.bridge.push(agent.id, *taken)
    await harness.changes.found(lambda: _post(harness, agent.id, "mark:5.1:white_check_mark"))
    marks = {key.split(":")[1] for key in await harness.shown(agent.id) if key.startswith("mark:")}
    assert marks == {"5.1"}


async def test_a_reply_to_an_idle_agent_starts_the_next_task_in_the_same_container(
    harness: AppHarness,
) -> None:
    agent = await harness.idle()
    await harness.reply(agent, "5.1", "add a test")
    after = await harness.reaches(agent.id, AgentStatus.WORKING)
    assert (after.task_number, after.task_id) == (2, f"{agent.id}-5.1")
    assert len(harness.runtime.specs) == 1
    await harness.changes.found(lambda: _post(harness, agent.id, "mark:5.1:white_check_mark"))
    assert f"card:{agent.id}-5.1" in await harness.shown(agent.id)


async def test_a_queued_reply_is_marked_by_a_clock_and_sent_as_queued(harness: AppHarness) -> None:
    agent = await harness.working()
    await harness.reply(agent, "5.1", mode=ChatMode.QUEUE)
    await harness.asked("chat")
    assert harness.bridge.bodies("chat")[0].mode is ChatMode.QUEUE
    assert "mark:5.1:clock1" in await harness.shown(agent.id)


async def test_replies_are_handed_over_in_the_order_of_arrival(harness: AppHarness) -> None:
    agent = await harness.working()
    for number in range(1, 21):
        await harness.reply(agent, f"5.{number}")
    await harness.asked("chat", 20)
    asked = [request.message_id for request in harness.bridge.bodies("chat")]
    assert asked == [f"5.{number}" for number in range(1, 21)]


async def test_what_is_taken_back_or_edited_on_its_way_reaches_no_task(harness: AppHarness) -> None:
    agent = await harness.working()
    gate = harness.bridge.gates["chat"] = asyncio.Event()
    await harness.reply(agent, "5.1", "and the changelog", mode=ChatMode.QUEUE)
    await harness.asked("chat")  # it is on its way; the others wait behind it
    await harness.reply(agent, "5.2", "forget this one", mode=ChatMode.QUEUE)
    await harness.reply(agent, "5.3", "forget this one, too", mode=ChatMode.QUEUE)
    stored = await harness.stored(agent.id)
    assert stored.thread_ts
    thread = ThreadRef("T1", "C1", stored.thread_ts)
    revise = harness.service.message_edits.revise_message
    assert await revise(thread, "5.1", "and the readme")
    assert await revise(thread, "5.2", None)
    already = len(harness.bridge.bodies("revise"))
    gate.set()
    await harness.asked("chat", 2)
    assert await revise(thread, "5.3", None)
    await harness.asked("revise", already + 2)
    assert harness.bridge.bodies("revise")[already] == ("5.1", "and the readme")
    sent = [request.text for request in harness.bridge.bodies("chat")]
    assert sent == ["and the changelog", "forget this one, too"]


async def test_replies_during_the_boot_wait_and_follow_the_first_task(harness: AppHarness) -> None:
    gate = harness.bridge.gates["workspace"] = asyncio.Event()
    agent = await harness.service.start(COMMAND, ORIGIN)
    assert agent
    await harness.asked("workspace")
    await harness.reply(agent, "5.1")
    await harness.reply(agent, "5.2")
    assert not harness.bridge.bodies("chat")
    gate.set()
    await harness.asked("chat", 2)
    asked = [route for route in harness.bridge.routes(agent.id) if route in {"execute", "chat"}]
    assert asked == ["execute", "chat", "chat"]


async def test_one_reply_delivered_many_times_has_one_effect(harness: AppHarness) -> None:
    agent = await harness.working()
    assert all(await asyncio.gather(*(harness.reply(agent, "5.1") for _ in range(10))))
    await harness.reply(agent, "5.2")
    await harness.asked("chat", 2)
    assert [request.message_id for request in harness.bridge.bodies("chat")] == ["5.1", "5.2"]


async def test_one_message_under_two_timestamps_has_one_effect(harness: AppHarness) -> None:
    agent = await harness.working()
    await harness.reply(agent, "5.1", client_msg_id="m-1")
    await harness.reply(agent, "5.2", client_msg_id="m-1")
    await harness.reply(agent, "5.3")
    await harness.asked("chat", 2)
    assert [request.message_id for request in harness.bridge.bodies("chat")] == ["5.1", "5.3"]


async def test_a_foreign_thread_is_met_with_silence(harness: AppHarness) -> None:
    agent = await harness.working()
    for thread in (ThreadRef("T1", "C1", "9.9"), ThreadRef("T2", "C1", agent.thread_ts or "")):
        assert not await harness.service.reply(ThreadMessage(thread, "UBEN", "5.1", "hello"))
    assert not await harness.store.undelivered(agent.id)


@pytest.mark.parametrize("text", ["", "   ", "\n\n"])
async def test_an_empty_reply_does_nothing(harness: AppHarness, text: str) -> None:
    agent = await harness.working()
    before = set(await harness.shown(agent.id))
    assert await harness.reply(agent, "5.1", text)
    assert set(await harness.shown(agent.id)) == before


async def test_a_reply_too_long_for_the_bridge_is_refused_and_the_agent_goes_on(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    assert await harness.reply(agent, "5.1", "x" * 120_000)
    assert await harness.reply(agent, "5.2", "shorter")
    await harness.asked("chat")
    assert harness.bridge.bodies("chat")[0].message_id == "5.2"
    shown = await harness.shown(agent.id)
    assert "40,000" in shown["trouble:long:5.1"].text
    assert "mark:5.1:eyes" not in shown


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (AgentStatus.STOPPED, "was stopped"),
        (AgentStatus.LOST, "is gone"),
        (AgentStatus.FAILED, "has ended"),
    ],
)
async def test_a_reply_to_an_agent_that_is_over_says_so_once(
    harness: AppHarness, status: AgentStatus, said: str
) -> None:
    agent = await harness.idle()
    await harness.fleet.cancel(agent.id)
    async with harness.store.transaction() as tx:
        await tx.save_agent(replace(agent, status=status))
    for _ in range(2):
        assert await harness.reply(agent, "5.1", "and a test")
    late = [post for key, post in (await harness.shown(agent.id)).items() if "late:" in key]
    assert len(late) == 1
    assert said in late[0].text
    assert 'Reply "restart" to go on from what was saved.' in late[0].text
    assert not await harness.store.undelivered(agent.id)


async def test_a_full_queue_keeps_the_message_until_there_is_room(harness: AppHarness) -> None:
    agent = await harness.working()
    full = WireError(code=ErrorCode.QUEUE_FULL, message="Full.")
    harness.bridge.refusals["chat"] = full
    await harness.reply(agent, "5.1")
    await harness.asked("chat", 3)
    assert await harness.store.undelivered(agent.id)
    del harness.bridge.refusals["chat"]
    await harness.changes.found(lambda: _delivered(harness, agent.id))
    assert not [key for key in await harness.shown(agent.id) if "refused" in key]


async def test_a_message_that_the_bridge_refuses_is_reported_and_does_not_block_the_next(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    refusal = WireError(code=ErrorCode.INVALID_REQUEST, message="Not like this.")
    harness.bridge.refusals["chat"] = refusal
    await harness.reply(agent, "5.1")
    await harness.changes.found(lambda: _post(harness, agent.id, "trouble:refused:5.1"))
    del harness.bridge.refusals["chat"]
    await harness.reply(agent, "5.2")
    await harness.changes.found(lambda: _delivered(harness, agent.id))
    assert "Not like this." in (await harness.shown(agent.id))["trouble:refused:5.1"].text


async def test_a_bridge_that_is_away_gets_the_message_when_it_is_back(harness: AppHarness) -> None:
    agent = await harness.working()
    await harness.asked("execute")
    harness.bridge.unreachable.add(agent.id)
    harness.bridge.cut(agent.id)
    await harness.reply(agent, "5.1")
    await harness.asked("chat", 2)
    harness.bridge.unreachable.clear()
    await harness.changes.found(lambda: _delivered(harness, agent.id))
    harness.bridge.finish(agent.id, "Back.")
    await harness.reaches(agent.id, AgentStatus.IDLE)


async def _post(harness: AppHarness, agent_id: str, key: str) -> object:
    return (await harness.shown(agent_id)).get(key)


async def _delivered(harness: AppHarness, agent_id: str) -> object:
    return True if not await harness.store.undelivered(agent_id) else None
