import json
from typing import Any

from playground.model.parsed_conversation import ScriptedTurn, read_conversation
from playground.model.python_tests import counts_in
from playground.model.scenarios import Scenarios

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("edit_file", "git_status")]
RUNS = {
    "before": "exit 1\nRan 9 tests in 0.01s\n\nFAILED (failures=1)",
    "after": "exit 0\nRan 9 tests in 0.01s\n\nOK",
}
DIFF = "--- a/todo/items.py\n+++ b/todo/items.py\n@@ -1 +1 @@\n-x <= y\n+x < y\n"


def play(scenarios: Scenarios, messages: list[Any], model: str = "any/model") -> list[ScriptedTurn]:
    """Answer every call as our tools would, until the story makes no more calls."""
    turns = []
    ran = 0
    while True:
        turn = scenarios.turn(model, read_conversation(messages, TOOLS))
        turns.append(turn)
        calls = [
            {
                "id": f"c{len(messages)}-{index}",
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for index, call in enumerate(turn.calls)
        ]
        messages.append({"role": "assistant", "content": turn.text, "tool_calls": calls})
        if not turn.calls:
            return turns
        for call, sent in zip(turn.calls, calls, strict=True):
            text = DIFF if call.name == "git_diff" else "fine"
            if call.name == "run_command":
                text, ran = RUNS["before" if ran == 0 else "after"], ran + 1
            messages.append({"role": "tool", "tool_call_id": sent["id"], "content": text})


def ask(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_the_fixing_story_uses_its_tools_and_tells_true_numbers() -> None:
    turns = play(Scenarios(), [{"role": "system", "content": "s"}, ask("fix the failing test")])
    names = [call.name for turn in turns for call in turn.calls]
    assert names == [
        "list_directory",
        "read_file",
        "run_command",
        "search_files",
        "read_file",
        "edit_file",
        "run_command",
        "git_diff",
    ]
    assert "before: 9 tests, 1 failed" in turns[-1].text
    assert "after: 9 tests, all pass" in turns[-1].text
    assert "+1 −1" in turns[-1].text  # noqa: RUF001 - the minus sign of the product


def test_a_run_that_did_not_work_is_not_called_a_success() -> None:
    messages: list[Any] = [ask("fix the failing test")]
    before, after = RUNS["before"], RUNS["after"]
    RUNS.update(before="not allowed: python3", after="not allowed: python3")
    try:
        turns = play(Scenarios(), messages)
    finally:
        RUNS.update(before=before, after=after)
    assert "could not run" in turns[-1].text


def test_the_second_task_shows_that_it_saw_the_first() -> None:
    messages: list[Any] = [ask("fix the failing test")]
    scenarios = Scenarios()
    play(scenarios, messages)
    messages.append(ask("and now?"))
    last = play(scenarios, messages)[-1].text
    assert "fix the failing test" in last
    assert "`todo/items.py`" in last
    assert "and now?" in last
    assert "8 tool calls" in last


def test_what_is_said_in_between_is_taken_up() -> None:
    messages: list[Any] = [ask("fix the failing test")]
    conversation = read_conversation(messages, TOOLS)
    turn = Scenarios().turn("m", conversation)
    call = {"id": "1", "function": {"name": turn.calls[0].name, "arguments": "{broken"}}
    messages += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "x"},
        ask("be quick"),
    ]
    conversation = read_conversation(messages, TOOLS)
    assert conversation.task.steering == ["be quick"]
    assert conversation.turn == 1
    assert "be quick" in play(Scenarios(), messages)[-1].text


def test_anything_else_is_answered_plainly_with_the_task() -> None:
    (turn,) = play(Scenarios(), [ask("write a poem")])
    assert "scripted model" in turn.text
    assert "write a poem" in turn.text


def test_own_stories_come_first_and_have_names() -> None:
    scenarios = Scenarios()
    scenarios.add("mine", lambda _c: ScriptedTurn("mine"), lambda c: "poem" in c.task.text)
    scenarios.add("unasked", lambda _c: ScriptedTurn("unasked"))
    assert scenarios.turn("m", read_conversation([ask("poem")], [])).text == "mine"
    assert scenarios.turn("scripted/unasked", read_conversation([], [])).text == "unasked"


def test_odd_messages_are_survived() -> None:
    messages: list[Any] = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}, 7]},
        {"role": "assistant", "content": None},
        {"role": "tool", "content": None},
        {"role": "alien"},
        {},
    ]
    assert read_conversation(messages, [{}]).task.text == "a\n"
    assert read_conversation([], []).task.text == ""


def test_unittest_output_is_read() -> None:
    assert counts_in("Ran 1 test in 0s\nOK") == (1, 0)
    assert counts_in("Ran 12 tests\nFAILED (failures=2, errors=1)") == (12, 3)
    assert counts_in("command not found") == (None, 0)


def test_a_message_after_an_interruption_is_a_new_task() -> None:
    call = {"id": "1", "function": {"name": "run_command", "arguments": "{}"}}
    messages: list[Any] = [
        ask("a long task"),
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "The person interrupted this call."},
        ask("what now?"),
    ]
    conversation = read_conversation(messages, TOOLS)
    assert [task.text for task in conversation.tasks] == ["a long task", "what now?"]
    assert conversation.turn == 0


def test_the_last_step_gets_an_answer_that_begins_as_asked() -> None:
    note = '[Note from the system] Last step. Call no tool. begin your answer with "Unfinished:"'
    conversation = read_conversation([ask("fix the failing test"), ask(note)], TOOLS)
    turn = Scenarios().turn("m", conversation)
    assert turn.calls == ()
    assert turn.text.startswith("Unfinished: ")
    assert conversation.task.steering == []
