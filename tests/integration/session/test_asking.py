"""A task that waits for a person: a question, leave for a command, a pause; and what ends it."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, TypeVar

import pytest

from bridge.errors import BridgeError
from bridge.model.client import ModelRequest
from bridge.model.response import ModelTurn, ToolCall
from bridge.protocol import (
    AgentEvent,
    AnswerRequest,
    ApprovalChoice,
    ChatMode,
    ErrorCode,
    MessageTakenUp,
    Outcome,
    PlanUpdated,
    QuestionAnswered,
    QuestionAsked,
    SessionStatus,
    TaskFinished,
    TaskPaused,
    TaskRequest,
    TaskResumed,
    ToolFinished,
    ToolStarted,
)
from bridge.replay.__main__ import replay
from tests.integration.session.conftest import (
    HangingStep,
    OpenSession,
    RunningSession,
    calls,
    message,
    says,
    task,
)

QUESTION = {"question": "Which database?", "options": ["Postgres", "MySQL", " Postgres "]}
ASKS = calls("ask_user", QUESTION)
PUBLISH = calls("run_command", {"command": ["npm", "publish", "--dry-run"]})
T = TypeVar("T", bound=AgentEvent)


def several(*wanted: tuple[str, dict[str, Any]]) -> ModelTurn:
    made = [
        ToolCall(f"c{n}", name, json.dumps(arguments)) for n, (name, arguments) in enumerate(wanted)
    ]
    return ModelTurn(tool_calls=tuple(made))


def only(events: Sequence[AgentEvent], kind: type[T]) -> T:
    [event_of_kind] = [event for event in events if isinstance(event, kind)]
    return event_of_kind


async def question(running: RunningSession, after: int = 0) -> QuestionAsked:
    """The question, once the task waits for its answer."""
    asked = (await running.events(lambda event: isinstance(event, QuestionAsked), after))[-1]
    assert isinstance(asked, QuestionAsked)
    while running.session.status().status is not SessionStatus.WAITING:
        await asyncio.sleep(0)
    return asked


def tool_texts(running: RunningSession, number: int) -> list[str]:
    """What the tools gave, as the model was told in its n-th call."""
    messages = running.model.asked[number].messages
    return [str(message["content"]) for message in messages if message["role"] == "tool"]


async def test_a_plan_is_told_as_it_is(open_session: OpenSession) -> None:
    items = [{"text": "look", "status": "done"}, {"text": " fix\nit "}, {"text": "  "}]
    async with open_session(calls("update_plan", {"items": items}), says("Done.")) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
    plan = only(events, PlanUpdated)
    assert [(item.text, item.status) for item in plan.items] == [
        ("look", "done"),
        ("fix\\nit", "todo"),
    ]
    assert only(events, ToolFinished).summary == "1 of 2 done"


@pytest.mark.parametrize("count", [21, 500])
async def test_a_plan_without_end_is_refused(open_session: OpenSession, count: int) -> None:
    items = [{"text": "x"}] * count
    async with open_session(calls("update_plan", {"items": items}), says("Done.")) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
    assert not any(isinstance(event, PlanUpdated) for event in events)
    assert not only(events, ToolFinished).ok


async def test_the_answer_of_a_person_is_the_result_of_the_call(open_session: OpenSession) -> None:
    async with open_session(ASKS, says("Postgres it is.")) as running:
        await running.session.execute(task())
        asked = await question(running)
        assert asked.options == ("Postgres", "MySQL")
        assert running.session.status().question_id == asked.question_id
        answer = AnswerRequest(answer="Postgres", author="UANA")
        assert (await running.session.answer(asked.question_id, answer)).taken
        events = await running.finished("t1")
        assert "Postgres" in tool_texts(running, 1)[-1]
        assert (await running.session.answer(asked.question_id, answer)).taken
        late = await running.session.answer(
            asked.question_id, AnswerRequest(answer="MySQL", author="UBEN")
        )
    assert (late.taken, late.answer, late.author) == (False, "Postgres", "UANA")
    assert [type(event) for event in events if isinstance(event, ToolStarted | ToolFinished)] == [
        ToolStarted,
        ToolFinished,
    ]
    assert await replay(events, lambda _: None)


async def test_a_question_survives_the_end_of_the_bridge(open_session: OpenSession) -> None:
    step = several(
        ("write_file", {"path": "a.txt", "content": "1"}),
        ("ask_user", QUESTION),
        ("read_file", {"path": "a.txt"}),
    )
    async with open_session(step) as running:
        await running.session.execute(task(max_steps=9))
        asked = await question(running)
    for _ in range(2):
        async with open_session(prepare=False) as running:
            await running.session.chat(message(1, ChatMode.QUEUE))
            status = running.session.status()
            assert (status.status, status.step, status.queue) == (SessionStatus.WAITING, 1, 1)
    async with open_session(says("Done."), says("Also done."), prepare=False) as running:
        await running.session.answer(asked.question_id, AnswerRequest(answer="MySQL"))
        events = await running.finished("t1")
        results = tool_texts(running, 0)
        assert await running.outcome("r1") is Outcome.COMPLETED
    assert len(results) == 3
    assert "MySQL" in results[1]
    started = [event.call_id for event in events if isinstance(event, ToolStarted)]
    finished = [event.call_id for event in events if isinstance(event, ToolFinished)]
    assert started == finished == ["c0", "c1", "c2"]
    assert not any(
        event.outcome is not Outcome.COMPLETED
        for event in events
        if isinstance(event, TaskFinished)
    )


async def test_a_plain_message_answers_and_a_queued_one_waits(open_session: OpenSession) -> None:
    async with open_session(ASKS, says("Then so."), says("Later.")) as running:
        await running.session.execute(task())
        await question(running)
        await running.session.chat(message(2, ChatMode.QUEUE))
        assert running.session.status().status is SessionStatus.WAITING
        await running.session.chat(message(1, text="both, please"))
        events = await running.finished("t1")
        last = running.model.asked[1].messages[-1]
        await running.finished("r2")
    assert last["content"] == "both, please"
    assert only(events, QuestionAnswered).message_id == "m1"
    assert only(events, MessageTakenUp).message_id == "m1"


async def test_what_was_said_just_before_is_read_before_anything_is_asked(
    open_session: OpenSession,
) -> None:
    async def speaks(_request: ModelRequest) -> ModelTurn:
        await running.session.chat(message(1, text="use MySQL"))
        return ASKS

    async with open_session(speaks, says("MySQL.")) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
    assert not any(isinstance(event, QuestionAsked) for event in events)
    assert only(events, MessageTakenUp).message_id == "m1"


async def test_an_interruption_ends_the_waiting(open_session: OpenSession) -> None:
    async with open_session(ASKS, says("Fine.")) as running:
        await running.session.execute(task())
        asked = await question(running)
        await running.session.interrupt()
        events = await running.finished("t1")
        assert running.session.status().status is SessionStatus.IDLE
        with pytest.raises(BridgeError) as caught:
            await running.session.answer(asked.question_id, AnswerRequest(answer="Postgres"))
        assert caught.value.code is ErrorCode.NOT_FOUND
        await running.session.chat(message(1))
        assert await running.outcome("r1") is Outcome.COMPLETED
    assert events[-1].type == "task_finished"
    assert not only(events, ToolFinished).ok


async def test_a_command_off_the_list_is_refused_unless_people_may_be_asked(
    open_session: OpenSession,
) -> None:
    async with open_session(PUBLISH, says("Refused.")) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
    assert not any(isinstance(event, QuestionAsked) for event in events)
    assert "not allowed" in only(events, ToolFinished).result


@pytest.mark.parametrize("answer", list(ApprovalChoice))
async def test_leave_is_for_exactly_one_command(
    open_session: OpenSession, answer: ApprovalChoice
) -> None:
    env = {"command": ["env", "printf"]}
    other = {"command": ["env", "printf", ""]}
    steps = (*(calls("run_command", arguments) for arguments in (env, env, other)), says("Done."))
    async with open_session(*steps) as running:
        await running.session.execute(task(approvals="ask"))
        asked = await question(running)
        assert (asked.kind, asked.text, asked.step) == ("approval", "env printf", 1)
        with pytest.raises(BridgeError) as caught:
            await running.session.answer(asked.question_id, AnswerRequest(answer="yes"))
        assert caught.value.code is ErrorCode.INVALID_REQUEST
        await running.session.answer(asked.question_id, AnswerRequest(answer=answer))
        again = await question(running, after=asked.seq)
        # Once is once; for the agent, the same command runs, and a changed one is a new question.
        assert again.text == (
            "env printf" if answer is not ApprovalChoice.AGENT else "env printf ''"
        )
        assert (again.fingerprint == asked.fingerprint) == (answer is not ApprovalChoice.AGENT)
        await running.session.interrupt()
        events = await running.finished("t1")
    ran = [event.exit_code for event in events if isinstance(event, ToolFinished)]
    expected = {
        ApprovalChoice.ONCE: [1, None],
        ApprovalChoice.AGENT: [1, 1, None],
        ApprovalChoice.REFUSE: [None, None],
    }
    assert ran == expected[answer]


async def test_leave_for_a_process_is_not_leave_for_a_command(open_session: OpenSession) -> None:
    env = {"command": ["env", "sleep", "30"]}
    start = calls("start_process", env)
    stop = several(*(("stop_process", {"process": name}) for name in ("p1", "p2")))
    async with open_session(
        start, start, stop, calls("run_command", env), says("Done.")
    ) as running:
        await running.session.execute(task(approvals="ask"))
        asked = await question(running)
        assert (asked.kind, asked.text) == ("approval", "env sleep 30")
        assert "in the background" in str(asked.reason)
        await running.session.answer(asked.question_id, AnswerRequest(answer=ApprovalChoice.AGENT))
        # The same process again runs; as a command that is waited for, it is another question.
        again = await question(running, after=asked.seq)
        assert again.text == asked.text
        assert again.fingerprint != asked.fingerprint
        assert "in the background" not in str(again.reason)
        assert [text.partition(":")[0] for text in tool_texts(running, 3)] == [
            *("p1 was started. p1", "p2 was started. p2"),
            *("p1", "p2"),
        ]
        await running.session.interrupt()
        await running.finished("t1")


async def test_leave_survives_restarts_and_holds_for_later_tasks(open_session: OpenSession) -> None:
    env = calls("run_command", {"command": ["env", "true"]})
    async with open_session(env) as running:
        await running.session.execute(task(approvals="ask"))
        asked = await question(running)
    async with open_session(says("Ran."), prepare=False) as running:
        await running.session.answer(asked.question_id, AnswerRequest(answer=ApprovalChoice.AGENT))
        events = await running.finished("t1")
        assert only(events, ToolFinished).exit_code == 0
    async with open_session(env, says("Ran again."), prepare=False) as running:
        await running.session.chat(message(1, approvals="ask"))
        assert await running.outcome("r1") is Outcome.COMPLETED
        assert "Exit code 0" in tool_texts(running, 1)[-1]


async def test_a_message_instead_of_leave_runs_nothing(open_session: OpenSession) -> None:
    async with open_session(PUBLISH, says("As you say.")) as running:
        await running.session.execute(task(approvals="ask"))
        await question(running)
        await running.session.chat(message(1, text="yes, do it"))
        events = await running.finished("t1")
        assert "not run" in tool_texts(running, 1)[-1]
    assert only(events, ToolFinished).exit_code is None


async def test_a_pause_waits_before_the_next_call_and_survives_a_restart(
    open_session: OpenSession,
) -> None:
    async def pauses(_request: ModelRequest) -> ModelTurn:
        running.session.pause(TaskRequest(task_id="t1"))
        return calls("list_directory", {})

    async with open_session(pauses) as running:
        await running.session.execute(task())
        await running.events(lambda event: isinstance(event, TaskPaused))
        with pytest.raises(BridgeError) as caught:
            running.session.pause(TaskRequest(task_id="t0"))
        assert caught.value.code is ErrorCode.NOT_FOUND
    async with open_session(says("Done."), prepare=False) as running:
        assert running.session.status().status is SessionStatus.WAITING
        assert running.model.asked == []
        await running.session.resume(TaskRequest(task_id="t1"))
        events = await running.finished("t1")
        assert len(running.model.asked) == 1
    assert only(events, TaskPaused).step == 1
    only(events, TaskResumed)
    assert await replay(events, lambda _: None)


async def test_a_reply_lets_a_paused_task_go_on(open_session: OpenSession) -> None:
    async def pauses(_request: ModelRequest) -> ModelTurn:
        running.session.pause(TaskRequest(task_id="t1"))
        return calls("list_directory", {})

    async with open_session(pauses, says("Done.")) as running:
        await running.session.execute(task())
        await running.events(lambda event: isinstance(event, TaskPaused))
        await running.session.chat(message(1, text="go on"))
        events = await running.finished("t1")
    assert only(events, MessageTakenUp).message_id == "m1"


async def test_what_interrupts_is_done_next_and_joins_nothing(open_session: OpenSession) -> None:
    hang = HangingStep()
    async with open_session(hang, says("This first."), says("That later.")) as running:
        await running.session.execute(task())
        await hang.reached.wait()
        await running.session.chat(message(1))
        await running.session.chat(message(2, ChatMode.QUEUE))
        answers = [
            await running.session.chat(message(3, ChatMode.INTERRUPT, text="this"))
            for _ in range(2)
        ]
        assert answers[0].task_id == answers[1].task_id == "r3"
        assert await running.outcome("t1") is Outcome.INTERRUPTED
        assert await running.outcome("r3") is Outcome.COMPLETED
        first = running.model.asked[1].messages
    assert "this" in [entry["content"] for entry in first]


async def test_what_interrupts_finds_room_in_a_full_queue(open_session: OpenSession) -> None:
    hang, again = HangingStep(), HangingStep()
    async with open_session(hang, again) as running:
        await running.session.execute(task())
        await hang.reached.wait()
        for number in range(20):
            await running.session.chat(message(number, ChatMode.QUEUE))
        with pytest.raises(BridgeError):
            await running.session.chat(message(20))
        await running.session.chat(message(21, ChatMode.INTERRUPT))
        await again.reached.wait()
        assert running.session.status().task_id == "r21"


async def test_the_files_before_a_question_that_waits_are_shown(open_session: OpenSession) -> None:
    step = several(("write_file", {"path": "a.txt", "content": "1"}), ("ask_user", QUESTION))
    async with open_session(step) as running:
        await running.session.execute(task())
        await question(running)
        events = await running.events(lambda event: isinstance(event, QuestionAsked))
    assert [event.type for event in events if event.task_id][-1] == "question_asked"
