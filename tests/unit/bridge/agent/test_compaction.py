import json
from typing import Any

from bridge.agent.compaction import facts_of, summary_text
from bridge.agent.prompts import LAST_STEP_NOTE
from bridge.text import NOTE


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def call(name: str, arguments: object) -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    function = {"name": name, "arguments": text}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": function}]}


def test_requests_and_written_files_are_facts_and_notes_are_not() -> None:
    facts = facts_of(
        [
            user("Add a flag."),
            call("write_file", {"path": "a.py", "content": ""}),
            call("read_file", {"path": "b.py"}),
            call("edit_file", {"path": "a.py"}),
            call("edit_file", '{"torn'),
            call("edit_file", [1]),
            user(LAST_STEP_NOTE),
            {"role": "assistant", "content": "Half way."},
            user("Add a second flag."),
        ],
        10_000,
    )
    assert facts.people == ("Add a flag.", "Add a second flag.")
    assert facts.files == ("a.py",)
    assert facts.last_words == ("Half way.",)


def test_the_newest_and_the_first_request_go_before_those_between() -> None:
    messages = [user(f"request {number} " + "x" * 300) for number in range(50)]
    facts = facts_of(messages, 2_000)
    assert facts.people[0].startswith("request 0 ")
    assert facts.people[-1].startswith("request 49 ")
    assert facts.left_out == 50 - len(facts.people)
    assert sum(map(len, facts.people)) < 3_000


def test_a_huge_request_is_cut_and_not_dropped() -> None:
    facts = facts_of([user("begin " + "x" * 50_000 + " end")], 2_000)
    assert facts.people[0].startswith("begin")
    assert facts.people[0].endswith("end")
    assert len(facts.people[0]) <= 1_000


def test_nobody_asked_anything() -> None:
    assert facts_of([], 0).people == ()


def test_without_words_of_the_model_the_summary_before_goes_on() -> None:
    facts = facts_of([user("Add a flag."), {"role": "assistant", "content": "Done so far."}], 500)
    first = summary_text(facts, "The flag is --fast.", "", 1_000)
    assert first.startswith(NOTE)
    assert "The flag is --fast." in first
    second = summary_text(facts, "", first, 1_000)
    assert "The flag is --fast." in second
    assert "Done so far." in second
    third = summary_text(facts, "", second, 1_000)
    assert "The flag is --fast." in third
