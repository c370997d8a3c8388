from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.conversation import Conversation, PersonMessage
from bridge.protocol import ChatMode


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "conversation.jsonl"


@pytest.fixture
def conversation(path: Path) -> Iterator[Conversation]:
    conversation = Conversation(path)
    yield conversation
    conversation.close()


def waiting(number: int, mode: ChatMode) -> PersonMessage:
    return PersonMessage(
        task_id=f"t{number}",
        message_id=f"m{number}",
        text=f"say {number}",
        mode=mode,
        model="acme/model",
        max_steps=5,
    )


def assistant(*ids: str) -> dict[str, object]:
    return {"role": "assistant", "content": None, "tool_calls": [{"id": one} for one in ids]}


def test_a_message_leaves_the_queue_as_it_enters_the_conversation(
    conversation: Conversation, path: Path
) -> None:
    first, second = waiting(1, ChatMode.QUEUE), waiting(2, ChatMode.STEER)
    conversation.accept(first)
    conversation.accept(second)
    assert conversation.in_turn() == [second, first]
    conversation.take(second)
    conversation.close()
    again = Conversation(path)
    assert again.waiting == [first]
    assert again.messages == [{"role": "user", "content": "say 2"}]
    assert again.find(task_id="other", message_id="m2") == second
    assert again.find(task_id="t1") == first
    assert again.find(task_id="nobody") is None
    assert again.last_accepted == second
    again.close()


def test_only_calls_without_a_result_get_one(conversation: Conversation) -> None:
    conversation.append(assistant("same"))
    conversation.append({"role": "tool", "tool_call_id": "same", "content": "early"})
    conversation.append(assistant("same", "b"))
    conversation.append({"role": "tool", "tool_call_id": "b", "content": "late"})
    assert conversation.answer_open_calls("lost") == 1
    assert conversation.answer_open_calls("lost") == 0
    assert conversation.messages[-1] == {"role": "tool", "tool_call_id": "same", "content": "lost"}
