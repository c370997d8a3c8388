"""Messages that are changed or withdrawn while they wait."""

import asyncio

import pytest

from bridge.errors import BridgeError
from bridge.protocol import (
    ChatMode,
    Disposition,
    ErrorCode,
    MessageTakenUp,
    SessionStatus,
    TaskStarted,
)
from tests.integration.session.conftest import (
    HangingStep,
    OpenSession,
    SlowStep,
    message,
    says,
    task,
)


async def test_a_queued_message_can_be_edited_and_withdrawn_for_good(
    open_session: OpenSession,
) -> None:
    hang = HangingStep()
    async with open_session(hang) as running:
        await running.session.execute(task())
        await hang.reached.wait()
        for number in (1, 2, 3):
            await running.session.chat(message(number, ChatMode.QUEUE))
        for _ in range(2):
            assert (await running.session.revise("m1", "better")).revised
            assert (await running.session.revise("m2", None)).revised
        assert not (await running.session.revise("m2", "too late")).revised
        assert running.session.status().queue == 2
    async with open_session(says("One."), says("Three."), prepare=False) as running:
        events = await running.finished("r3")
        again = await running.session.chat(message(2, ChatMode.QUEUE))
        assert (await running.session.revise("m2", None)).revised
        assert running.session.status().status is SessionStatus.IDLE
        assert "better" in [m["content"] for m in running.model.asked[0].messages]
    assert again.position == 0
    started = [(e.task_id, e.text) for e in events if isinstance(e, TaskStarted)]
    assert started[1:] == [("r1", "better"), ("r3", "say 3")]


async def test_what_a_task_has_already_stays_as_it_is(open_session: OpenSession) -> None:
    hang = HangingStep()
    async with open_session(says("Done."), hang) as running:
        await running.session.execute(task())
        await running.finished("t1")
        await running.session.chat(message(1))
        assert not (await running.session.revise("m1", "other")).revised
        await hang.reached.wait()
        assert not (await running.session.revise("m1", None)).revised
        assert not (await running.session.revise("t1", None)).revised


async def test_a_message_that_never_was_is_not_found(open_session: OpenSession) -> None:
    async with open_session() as running:
        for text in ("x", None):
            with pytest.raises(BridgeError) as caught:
                await running.session.revise("m9", text)
            assert caught.value.code is ErrorCode.NOT_FOUND


async def test_a_revision_while_others_are_taken_up_reaches_the_model_or_is_too_late(
    open_session: OpenSession,
) -> None:
    slow = SlowStep(says("Finished, I think."))
    async with open_session(slow, says("That too.")) as running:
        await running.session.execute(task())
        await slow.reached.wait()
        for number in (1, 2, 3):
            accepted = await running.session.chat(message(number))
            assert accepted.disposition is Disposition.STEERING
        slow.go_on.set()
        await running.events(lambda event: isinstance(event, MessageTakenUp))
        first = running.session.revise("m1", "late")
        second, third = running.session.revise("m2", "new"), running.session.revise("m3", None)
        answers = [answer.revised for answer in await asyncio.gather(first, second, third)]
        events = await running.finished("t1")
        texts = [m["content"] for m in running.model.asked[1].messages if m["role"] == "user"]
    taken = [event.message_id for event in events if isinstance(event, MessageTakenUp)]
    assert answers[0] is False
    expected = ["do it", "say 1", "new" if answers[1] else "say 2"]
    assert texts == expected + ([] if answers[2] else ["say 3"])
    assert taken == ["m1", "m2"] + ([] if answers[2] else ["m3"])
