"""Conversations that go from one bridge to the next."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bridge.errors import BridgeError
from bridge.protocol import (
    ChatMode,
    ErrorCode,
    Outcome,
    SavedConversation,
    SessionStatus,
    TaskFinished,
    ToolStarted,
    WorkspaceRequest,
)
from bridge.state.archive import export_conversation, restore_conversation
from bridge.state.conversation import Conversation
from tests.integration.session.conftest import HangingStep, OpenSession, calls, message, says, task


def read(data: bytes) -> SavedConversation:
    return SavedConversation.model_validate_json(data)


def saved(**fields: Any) -> SavedConversation:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "earlier"}]
    return SavedConversation.model_validate(
        {"protocol": 1, "last_seq": 40, "messages": messages} | fields
    )


async def test_a_restored_conversation_goes_on_with_all_its_history(
    open_session: OpenSession, workspace_request: WorkspaceRequest, tmp_path: Path
) -> None:
    async with open_session(calls("list_directory", {}), says("Done.")) as running:
        await running.session.execute(task())
        await running.finished("t1")
        kept = read(await running.session.export())
        before = running.model.asked[-1].messages
        last_seq = running.session.status().last_seq
    assert kept.last_seq == last_seq
    async with open_session(says("More."), prepare=False, elsewhere=tmp_path / "new") as running:
        status = await running.session.restore(kept)
        assert (status.status, status.last_seq) == (SessionStatus.EMPTY, last_seq)
        await running.session.prepare(workspace_request)
        await running.session.chat(message(1, model="acme/model"))
        events = await running.finished("r1")
        asked = running.model.asked[0].messages
    assert asked[: len(before)] == before
    assert [m["role"] for m in asked[len(before) :]] == ["assistant", "user"]
    assert [event.seq for event in events] == list(range(last_seq + 1, events[-1].seq + 1))
    async with open_session(prepare=False, elsewhere=tmp_path / "new") as running:
        assert running.session.status().last_seq == events[-1].seq
        again = await running.events(lambda event: event.seq == events[-1].seq, after=last_seq + 2)
    assert again == events[2:]


async def test_messages_that_waited_run_once_the_workspace_is_there(
    open_session: OpenSession, workspace_request: WorkspaceRequest, tmp_path: Path
) -> None:
    hang = HangingStep()
    async with open_session(hang) as running:
        await running.session.execute(task())
        await hang.reached.wait()
        await running.session.execute(task("t2"))
        await running.session.chat(message(1, ChatMode.QUEUE, max_steps=3, author="Ana"))
        kept = read(await running.session.export())
    assert [(w.message_id, w.task_id) for w in kept.waiting] == [("t2", "t2"), ("m1", "r1")]
    async with open_session(prepare=False, elsewhere=tmp_path / "new") as running:
        await running.session.restore(kept)
        assert running.session.status().queue == 2
    async with open_session(
        says("a"), says("b"), prepare=False, elsewhere=tmp_path / "new"
    ) as running:
        assert running.session.status().status is SessionStatus.EMPTY
        await running.session.prepare(workspace_request)
        assert (await running.session.execute(task("t2"))).task_id == "t2"
        events = await running.finished("r1")
        assert len(running.model.asked) == 2
    ended = [(e.task_id, e.outcome) for e in events if isinstance(e, TaskFinished)]
    assert ended == [("t2", Outcome.COMPLETED), ("r1", Outcome.COMPLETED)]


async def test_a_turn_at_work_is_left_out_of_what_is_exported(open_session: OpenSession) -> None:
    command = {"command": ["python3", "-c", "import time; time.sleep(300)"]}
    async with open_session(calls("list_directory", {}), calls("run_command", command)) as running:
        await running.session.execute(task())
        await running.events(lambda e: isinstance(e, ToolStarted) and e.tool == "run_command")
        kept = read(await running.session.export())
        await running.session.interrupt()
        after = read(await running.session.export())
    assert [m["role"] for m in kept.messages] == ["system", "user", "assistant", "tool"]
    assert [m["role"] for m in after.messages][4:] == ["assistant", "tool"]


@pytest.fixture
def conversation(tmp_path: Path) -> Any:
    conversation = Conversation(tmp_path / "conversation.jsonl")
    yield conversation
    conversation.close()


async def test_nothing_said_is_an_empty_conversation(conversation: Conversation) -> None:
    kept = read(await export_conversation(conversation, 0))
    assert kept == SavedConversation(protocol=1, last_seq=0)


async def test_a_conversation_too_large_keeps_its_newest_part_from_a_person_on(
    conversation: Conversation,
) -> None:
    conversation.append({"role": "system", "content": "rules"})
    for number in range(30):
        conversation.append({"role": "user", "content": f"ask {number}"})
        call = {"id": f"c{number}", "type": "function", "function": {"name": "x"}}
        conversation.append({"role": "assistant", "content": None, "tool_calls": [call]})
        result = {"role": "tool", "tool_call_id": f"c{number}", "content": "\0" * 1_000}
        conversation.append(result)
    data = await export_conversation(conversation, 9, limit_bytes=50_000)
    kept = read(data).messages
    assert 30_000 < len(data) <= 50_000
    assert kept[0]["content"] == "rules"
    assert "left out" in kept[1]["content"]
    assert (kept[2]["role"], kept[-1]["tool_call_id"]) == ("user", "c29")
    assert list(kept[2:]) == conversation.messages[-len(kept) + 2 :]
    tiny = await export_conversation(conversation, 9, limit_bytes=2_000)
    assert [m["role"] for m in read(tiny).messages] == ["system", "user"]


async def test_half_a_character_of_a_provider_does_not_spoil_the_export(
    conversation: Conversation,
) -> None:
    details = [{"type": "reasoning.text", "text": "half \ud83d"}]
    conversation.append({"role": "assistant", "content": "x", "reasoning_details": details})
    (kept,) = read(await export_conversation(conversation, 3)).messages
    assert kept["reasoning_details"][0]["text"].startswith("half ")


async def test_the_same_twice_is_a_success_even_later_and_another_is_refused_then(
    open_session: OpenSession, workspace_request: WorkspaceRequest
) -> None:
    async with open_session(prepare=False) as running:
        await running.session.restore(saved(last_seq=7))
        await running.session.restore(saved())
        await running.session.restore(saved())
        assert running.session.status().last_seq == 40
        await running.session.prepare(workspace_request)
        status = await running.session.restore(saved())
        assert (status.last_seq, status.conversation_messages) == (42, 2)
        with pytest.raises(BridgeError) as caught:
            await running.session.restore(saved(last_seq=41))
        assert caught.value.code is ErrorCode.WORKSPACE_CONFLICT
    async with open_session(prepare=False) as running:
        assert (await running.session.restore(saved())).last_seq == 42


async def test_a_bridge_with_a_history_refuses_another(open_session: OpenSession) -> None:
    async with open_session() as running:
        with pytest.raises(BridgeError) as caught:
            await running.session.restore(saved())
    assert caught.value.code is ErrorCode.WORKSPACE_CONFLICT


@pytest.mark.parametrize(
    "fields",
    [
        {"protocol": 99},
        {"messages": [{"content": "no role"}]},
        {"messages": [{"role": "tool", "content": "whose?"}]},
        {"messages": [{"role": "assistant", "tool_calls": "many"}]},
        {"messages": [{"role": "assistant", "tool_calls": [7]}]},
        {"waiting": [{"message_id": "m", "task_id": "t", "text": "no model"}]},
        {
            "waiting": [
                {"message_id": f"m{n}", "task_id": "t", "text": "x", "model": "m"} for n in range(2)
            ]
        },
        {
            "waiting": [
                {"message_id": f"m{n}", "task_id": f"t{n}", "text": "x", "model": "m"}
                for n in range(26)
            ]
        },
    ],
)
def test_what_no_task_could_go_on_with_is_refused_whole(
    conversation: Conversation, fields: dict[str, Any]
) -> None:
    with pytest.raises(BridgeError) as caught:
        restore_conversation(conversation, saved(**fields))
    assert caught.value.code is ErrorCode.INVALID_REQUEST
    assert (conversation.messages, conversation.restored_digest) == ([], None)


def test_as_many_messages_may_wait_in_the_next_container(conversation: Conversation) -> None:
    # Twenty in the queue, and those that came to interrupt.
    waiting = [
        {"message_id": f"m{n}", "task_id": f"t{n}", "text": "x", "model": "m"} for n in range(25)
    ]
    restore_conversation(conversation, saved(waiting=waiting))
    assert len(conversation.waiting) == 25


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ValidationError):
        saved(surprise=1)


def test_an_open_turn_of_a_foreign_conversation_is_left_out(conversation: Conversation) -> None:
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "a"}, {"id": "b"}]},
        {"role": "tool", "tool_call_id": "a", "content": "y"},
    ]
    restore_conversation(conversation, saved(messages=messages))
    assert conversation.messages == messages[:1]


def test_a_restore_torn_anywhere_is_no_restore(tmp_path: Path) -> None:
    path = tmp_path / "state" / "conversation.jsonl"
    whole = Conversation(path)
    waiting = [{"message_id": "m", "task_id": "t", "text": "x", "model": "m"}]
    restore_conversation(whole, saved(waiting=waiting))
    whole.close()
    line = path.read_bytes()
    for size in range(len(line)):
        path.write_bytes(line[:size])
        torn = Conversation(path)
        state = (torn.messages, torn.waiting, torn.base_seq, torn.restored_digest)
        torn.close()
        assert state == ([], [], 0, None), size
    path.write_bytes(line)
    again = Conversation(path)
    assert (len(again.messages), len(again.waiting), again.base_seq) == (2, 1, 40)
    assert json.loads(line)["restored"]["digest"] == again.restored_digest
    again.close()
