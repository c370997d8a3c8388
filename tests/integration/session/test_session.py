import asyncio
import json
import subprocess
from pathlib import Path

import pytest

from bridge.config import BridgeSettings
from bridge.errors import BridgeError, ModelError
from bridge.model.client import ModelRequest
from bridge.model.response import CallUsage, ModelTurn, ToolCall
from bridge.protocol import (
    ChatMode,
    Disposition,
    ErrorCode,
    FilesChanged,
    MessageTakenUp,
    MessageWritten,
    ModelRetried,
    Outcome,
    SessionStatus,
    TaskFinished,
    TaskStarted,
    ToolFinished,
    ToolStarted,
    UsageRecorded,
    WorkspaceRequest,
)
from tests.integration.session.conftest import (
    HangingStep,
    OpenSession,
    SlowStep,
    calls,
    message,
    says,
    task,
)


async def test_a_task_reads_edits_and_answers(open_session: OpenSession) -> None:
    steps = (
        calls("read_file", {"path": "README.md"}, text="Let me look."),
        calls("edit_file", {"path": "README.md", "old_text": "hello", "new_text": "goodbye"}),
        says("Done.", usage=CallUsage(prompt_tokens=10, completion_tokens=2, cost_usd=0.5)),
    )
    async with open_session(*steps) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
        status = running.session.status()
        diff = await running.session.diff()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    finished = [event for event in events if isinstance(event, ToolFinished)]
    assert all(event.ok for event in finished), finished
    kinds = [event.type for event in events if event.task_id]
    assert kinds == [
        *("task_started", "step_started", "usage_recorded", "message_written"),
        *("tool_started", "tool_finished"),
        *("step_started", "usage_recorded", "tool_started", "tool_finished", "files_changed"),
        *("step_started", "usage_recorded", "message_written", "task_finished"),
    ]
    assert [event.final for event in events if isinstance(event, MessageWritten)] == [False, True]
    changed = next(event for event in events if isinstance(event, FilesChanged))
    assert [file.path for file in changed.files] == ["README.md"]
    assert [file.path for file in diff.files] == ["README.md"]
    assert status.status is SessionStatus.IDLE
    assert (status.usage.model_calls, status.usage.cost_usd) == (3, 0.5)


async def test_the_prefix_of_the_conversation_never_changes(open_session: OpenSession) -> None:
    steps = (calls("list_directory", {}), says("One."), says("Two."))
    async with open_session(*steps) as running:
        await running.session.execute(task())
        await running.finished("t1")
        await running.session.chat(message(1))
        await running.finished("r1")
        asked = [json.dumps(list(request.messages))[:-1] for request in running.model.asked]
    assert asked[1].startswith(asked[0])
    assert asked[2].startswith(asked[1])
    assert "make check" in asked[0]


async def test_a_task_without_a_workspace_is_refused(open_session: OpenSession) -> None:
    async with open_session(prepare=False) as running:
        with pytest.raises(BridgeError) as caught:
            await running.session.execute(task())
        assert caught.value.code is ErrorCode.WORKSPACE_MISSING
        assert running.session.status().status is SessionStatus.EMPTY


async def test_the_same_task_twice_runs_once(open_session: OpenSession) -> None:
    async with open_session(says("Done.")) as running:
        first = await running.session.execute(task())
        second = await running.session.execute(task())
        await running.finished("t1")
        third = await running.session.execute(task())
        assert first == second == third
        assert len(running.model.asked) == 1


async def test_fifty_deliveries_of_one_reply_have_one_effect(open_session: OpenSession) -> None:
    async with open_session(says("Done."), says("Yes.")) as running:
        await running.session.execute(task())
        await running.finished("t1")
        answers = await asyncio.gather(*(running.session.chat(message(1)) for _ in range(50)))
        await running.finished("r1")
    assert {answer.disposition for answer in answers} == {Disposition.STARTED}
    assert len(running.model.asked) == 2


async def test_a_task_id_of_another_message_is_refused(open_session: OpenSession) -> None:
    async with open_session(says("Done.")) as running:
        await running.session.execute(task())
        with pytest.raises(BridgeError) as caught:
            await running.session.chat(message(1, task_id="t1"))
        assert caught.value.code is ErrorCode.INVALID_REQUEST
        await running.finished("t1")


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("no_such_tool", "{}", "There is no tool"),
        ("read_file", '{"path": "READ', "not valid JSON"),
        ("read_file", "[1, 2]", "do not fit"),
        ("read_file", '{"path": "nope.txt"}', "nope.txt"),
        ("read_file", '{"path": "../../etc/passwd"}', "outside"),
    ],
)
async def test_a_bad_call_is_a_result_and_the_task_goes_on(
    open_session: OpenSession, name: str, arguments: str, expected: str
) -> None:
    async with open_session(calls(name, arguments), says("Done.")) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
        history = running.model.asked[1].messages
    finished = next(event for event in events if isinstance(event, ToolFinished))
    assert not finished.ok
    assert expected in history[-1]["content"]
    assert isinstance(json.loads(history[-2]["tool_calls"][0]["function"]["arguments"]), dict)
    assert events[-1].outcome is Outcome.COMPLETED


async def test_calls_of_one_turn_run_in_order(open_session: OpenSession) -> None:
    turn = ModelTurn(
        tool_calls=(
            ToolCall("a", "write_file", '{"path": "new.txt", "content": "one"}'),
            ToolCall("b", "read_file", '{"path": "new.txt"}'),
        )
    )
    async with open_session(turn, says("Done.")) as running:
        await running.session.execute(task())
        await running.finished("t1")
        results = [m for m in running.model.asked[1].messages if m["role"] == "tool"]
    assert [result["tool_call_id"] for result in results] == ["a", "b"]
    assert "one" in results[1]["content"]


async def test_the_last_step_is_announced_and_then_the_limit_ends_the_task(
    open_session: OpenSession,
) -> None:
    steps = [calls("list_directory", {}) for _ in range(3)]
    async with open_session(*steps) as running:
        await running.session.execute(task(max_steps=3))
        events = await running.finished("t1")
        notes = ["last step" in str(request.messages[-1]) for request in running.model.asked]
    assert notes == [False, False, True]
    assert events[-1].outcome is Outcome.STEP_LIMIT
    assert events[-1].steps == 3


@pytest.mark.parametrize(("max_steps", "told_before"), [(10, 7), (9, None)])
async def test_near_the_limit_the_model_is_told_to_wrap_up(
    open_session: OpenSession, max_steps: int, told_before: int | None
) -> None:
    steps = [calls("list_directory", {"path": "./" * n}) for n in range(max_steps)]
    async with open_session(*steps) as running:
        await running.session.execute(task(max_steps=max_steps))
        await running.finished("t1")
        numbers = [
            number
            for number, request in enumerate(running.model.asked, start=1)
            if "4 steps are left" in str(request.messages[-1])
        ]
    assert numbers == ([told_before] if told_before else [])


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("All done.", Outcome.COMPLETED),
        ("**Not finished:** tests are left.", Outcome.STEP_LIMIT),
    ],
)
async def test_an_answer_in_the_last_step_says_itself_whether_work_is_left(
    open_session: OpenSession, text: str, outcome: Outcome
) -> None:
    async with open_session(says(text)) as running:
        await running.session.execute(task(max_steps=1))
        assert await running.outcome("t1") is outcome


async def test_a_retryable_fault_is_retried_and_told(open_session: OpenSession) -> None:
    busy = ModelError(
        ErrorCode.MODEL_RATE_LIMITED, "slow down", retryable=True, retry_after_seconds=7.0
    )
    down = ModelError(ErrorCode.MODEL_UNAVAILABLE, "down", retryable=True)
    async with open_session(busy, down, says("Done.")) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
        assert running.waits[0] == 7.0
        assert 1.0 <= running.waits[1] <= 2.0
    retried = [event for event in events if isinstance(event, ModelRetried)]
    assert [(event.attempt, event.error.code) for event in retried] == [
        (2, "model_rate_limited"),
        (3, "model_unavailable"),
    ]
    assert events[-1].outcome is Outcome.COMPLETED


@pytest.mark.parametrize(
    ("fault", "tries"),
    [
        (ModelError(ErrorCode.MODEL_PAYMENT, "no credit"), 1),
        (ModelError(ErrorCode.MODEL_UNAVAILABLE, "down", retryable=True), 3),
        (
            ModelError(
                ErrorCode.MODEL_RATE_LIMITED, "tomorrow", retryable=True, retry_after_seconds=4_000
            ),
            1,
        ),
    ],
)
async def test_a_final_fault_fails_the_task_and_leaves_the_session_usable(
    open_session: OpenSession, fault: ModelError, tries: int
) -> None:
    async with open_session(*([fault] * tries), says("Better.")) as running:
        await running.session.execute(task())
        last = (await running.finished("t1"))[-1]
        assert isinstance(last, TaskFinished)
        assert last.outcome is Outcome.FAILED
        assert last.error is not None
        assert last.error.code == fault.code
        await running.session.chat(message(1))
        assert await running.outcome("r1") is Outcome.COMPLETED


async def test_an_answer_cut_by_the_output_limit_goes_on_once(open_session: OpenSession) -> None:
    async with open_session(says("The first ", cut_off=True), says("and the rest.")) as running:
        await running.session.execute(task())
        events = await running.finished("t1")
    written = [event.text for event in events if isinstance(event, MessageWritten)]
    assert written == ["The first and the rest."]


async def test_a_reply_steers_the_task_at_work_even_after_its_answer(
    open_session: OpenSession,
) -> None:
    slow = SlowStep(says("Finished, I think."))
    async with open_session(slow, says("And that too.")) as running:
        await running.session.execute(task())
        await slow.reached.wait()
        accepted = await running.session.chat(message(1))
        slow.go_on.set()
        events = await running.finished("t1")
        last = running.model.asked[1].messages[-1]
    assert accepted.disposition is Disposition.STEERING
    assert last == {"role": "user", "content": "say 1"}
    taken = [event.message_id for event in events if isinstance(event, MessageTakenUp)]
    assert taken == ["m1"]
    assert sum(isinstance(event, TaskStarted) for event in events) == 1


async def test_queued_messages_become_tasks_of_their_own_in_order(
    open_session: OpenSession,
) -> None:
    hang = HangingStep()
    async with open_session(hang, says("One."), says("Two.")) as running:
        await running.session.execute(task())
        await hang.reached.wait()
        first = await running.session.chat(message(1, ChatMode.QUEUE))
        second = await running.session.chat(message(2, ChatMode.QUEUE))
        assert (first.position, second.position) == (1, 2)
        assert running.session.status().queue == 2
        await running.session.interrupt()
        events = await running.finished("r2")
    started = [(e.task_id, e.message_id) for e in events if isinstance(e, TaskStarted)]
    assert started == [("t1", None), ("r1", "m1"), ("r2", "m2")]


async def test_the_twenty_first_waiting_message_is_refused(open_session: OpenSession) -> None:
    hang = HangingStep()
    async with open_session(hang) as running:
        await running.session.execute(task())
        await hang.reached.wait()
        for number in range(20):
            await running.session.chat(message(number, ChatMode.QUEUE))
        with pytest.raises(BridgeError) as caught:
            await running.session.chat(message(99, ChatMode.QUEUE))
        assert caught.value.code is ErrorCode.QUEUE_FULL


async def test_interrupt_kills_the_tool_and_leaves_a_whole_conversation(
    open_session: OpenSession,
) -> None:
    steps = (
        calls("run_command", {"command": ["python3", "-c", "import time; time.sleep(321)"]}),
        says("Here again."),
    )
    async with open_session(*steps) as running:
        await running.session.execute(task())
        await running.events(lambda event: isinstance(event, ToolStarted))
        status = await running.session.interrupt()
        assert status.status is SessionStatus.IDLE
        assert await running.outcome("t1") is Outcome.INTERRUPTED
        alive = subprocess.run(["pgrep", "-f", "time.sleep(321)"], check=False, capture_output=True)
        assert alive.stdout == b""
        await running.session.chat(message(1))
        assert await running.outcome("r1") is Outcome.COMPLETED
        roles = [m["role"] for m in running.model.asked[1].messages]
    assert roles == ["system", "user", "assistant", "tool", "user"]


async def test_interrupting_twice_or_while_idle_is_harmless(open_session: OpenSession) -> None:
    hang = HangingStep()
    async with open_session(hang) as running:
        await running.session.interrupt()
        await running.session.execute(task())
        await hang.reached.wait()
        await asyncio.gather(running.session.interrupt(), running.session.interrupt())
        await running.session.interrupt()
        events = await running.finished("t1")
    assert sum(isinstance(event, TaskFinished) for event in events) == 1


async def test_an_interrupt_before_the_task_has_begun_still_ends_it(
    open_session: OpenSession,
) -> None:
    async with open_session() as running:
        accepting = asyncio.create_task(running.session.execute(task()))
        while running.session.status().status is not SessionStatus.WORKING:
            await asyncio.sleep(0)
        await running.session.interrupt()
        await accepting
        assert await running.outcome("t1") is Outcome.INTERRUPTED
        assert running.model.asked == []


async def test_a_restart_keeps_conversation_queue_usage_and_ids(
    open_session: OpenSession, workspace_request: WorkspaceRequest
) -> None:
    hang = HangingStep()
    async with open_session(says("Done."), hang) as running:
        await running.session.execute(task())
        await running.finished("t1")
        await running.session.chat(message(1))
        await hang.reached.wait()
        await running.session.chat(message(2, ChatMode.QUEUE))
        before = running.session.status()
    async with open_session(says("Queued and done."), prepare=False) as running:
        again = await running.session.prepare(workspace_request)
        events = await running.finished("r2")
        repeated = await running.session.chat(message(1))
        history = running.model.asked[0].messages
    assert again.already_there
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    ended = {e.task_id: e.outcome for e in events if isinstance(e, TaskFinished)}
    assert ended == {
        "t1": Outcome.COMPLETED,
        "r1": Outcome.FAILED,
        "r2": Outcome.COMPLETED,
    }
    assert [m["role"] for m in history] == ["system", "user", "assistant", "user", "user"]
    assert repeated.disposition is Disposition.STARTED
    assert before.usage.model_calls == 1
    assert sum(isinstance(event, UsageRecorded) for event in events) == 2


async def test_a_broken_checkout_does_not_end_the_task(
    open_session: OpenSession, settings: BridgeSettings
) -> None:
    async def breaks(_request: ModelRequest) -> ModelTurn:
        (settings.workspace_dir / ".git").rename(settings.workspace_dir / "gone")
        return calls("write_file", {"path": "a.txt", "content": "a"})

    async with open_session(breaks, says("Done.")) as running:
        await running.session.execute(task())
        assert await running.outcome("t1") is Outcome.COMPLETED


async def test_a_full_disk_fails_the_request_and_not_the_session(open_session: OpenSession) -> None:
    async with open_session(says("Done.")) as running:
        journal = running.session._conversation._journal
        kept = journal._fd
        with Path("/dev/full").open("r+b", buffering=0) as full:
            journal._fd = full.fileno()
            with pytest.raises(BridgeError) as caught:
                await running.session.execute(task())
            journal._fd = kept
        assert caught.value.code is ErrorCode.NO_SPACE
        await running.session.execute(task())
        assert await running.outcome("t1") is Outcome.COMPLETED


async def test_a_disk_that_fills_before_the_task_begins_loses_no_message(
    open_session: OpenSession,
) -> None:
    async with open_session(says("First."), says("Second.")) as running:
        log = running.session.events._journal
        kept = log._fd
        with Path("/dev/full").open("r+b", buffering=0) as full:
            log._fd = full.fileno()
            await running.session.execute(task())
            while running.session.status().status is SessionStatus.WORKING:
                await asyncio.sleep(0)
            log._fd = kept
        await running.session.chat(message(1, ChatMode.QUEUE))
        events = await running.finished("r1")
    assert [e.task_id for e in events if isinstance(e, TaskStarted)] == ["t1", "r1"]
