import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from bridge.model.limits import Summary
from bridge.protocol import ChatMode
from bridge.state.conversation import Conversation, UserMessage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "conversation.jsonl"


@pytest.fixture
def conversation(path: Path) -> Iterator[Conversation]:
    conversation = Conversation(path)
    yield conversation
    conversation.close()


def waiting(number: int, mode: ChatMode) -> UserMessage:
    return UserMessage(
        task_id=f"t{number}",
        message_id=f"m{number}",
        text=f"say {number}",
        mode=mode,
        model="acme/model",
        max_steps=5,
    )


def assistant(*ids: str) -> dict[str, object]:
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": call_id} for call_id in ids],
    }


def test_a_message_leaves_the_queue_as_it_enters_the_conversation(
    conversation: Conversation, path: Path
) -> None:
    first, second = waiting(1, ChatMode.QUEUE), waiting(2, ChatMode.STEER)
    conversation.accept_message(first)
    conversation.accept_message(second)
    assert conversation.messages_in_turn() == [second, first]
    conversation.take_message(second)
    conversation.close()
    again = Conversation(path)
    assert again.waiting == [first]
    assert again.messages == [{"role": "user", "content": "say 2"}]
    assert again.find_message(task_id="other", message_id="m2") == second
    assert again.find_message(task_id="t1") == first
    assert again.find_message(task_id="nobody") is None
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


MESSAGES = st.sampled_from(
    [
        {"role": "user", "content": "say"},
        {"role": "assistant", "content": "ü", "reasoning": "hm", "reasoning_content": "hm"},
        {**assistant("a"), "reasoning_details": [{"type": "x"}]},
        {"role": "tool", "tool_call_id": "a", "content": "out"},
    ]
)
ACTIONS = st.one_of(MESSAGES, st.integers(1, 20), st.just("drop"))


@given(st.lists(ACTIONS, max_size=30))
def test_what_the_model_is_told_is_the_same_after_a_restart(
    actions: list[dict[str, object] | int | str],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "conversation.jsonl"
        conversation = Conversation(path)
        conversation.append({"role": "system", "content": "stand"})
        for action in actions:
            before = conversation.view()
            if isinstance(action, dict):
                conversation.append(action)
                assert conversation.view()[:-1] == before
            elif isinstance(action, int) and action <= len(conversation.messages):
                conversation.add_summary(Summary(f"until {action}", action))
                assert conversation.view()[1]["content"] == f"until {action}"
            elif action == "drop":
                conversation.drop_reasoning()
                assert not any("reasoning" in str(m.keys()) for m in conversation.messages)
        view, size = conversation.view(), conversation.view_bytes()
        assert len(conversation.messages) == 1 + sum(isinstance(a, dict) for a in actions)
        conversation.close()
        again = Conversation(path)
        assert (again.view(), again.view_bytes()) == (view, size)
        assert again.call_ids == conversation.call_ids
        again.close()
