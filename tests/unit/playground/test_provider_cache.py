from typing import Any

from playground.model.provider_cache import PromptCache


def message(text: str, *, marked: bool = False) -> dict[str, Any]:
    if not marked:
        return {"role": "user", "content": text}
    part = {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}
    return {"role": "user", "content": [part]}


def body(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": list(messages), "tools": [{"name": "x" * 400}]}


LONG = "y" * 400


def test_what_two_prompts_begin_with_is_known_the_second_time() -> None:
    prefixes = PromptCache()
    assert prefixes.count("m", body(message(LONG)))[1] == 0
    prompt, cached = prefixes.count("m", body(message(LONG), message("new")))
    assert 200 < cached < prompt
    assert prefixes.count("other", body(message(LONG)))[1] == 0


def test_a_changed_beginning_is_not_known() -> None:
    prefixes = PromptCache()
    prefixes.count("m", body(message(LONG), message("end")))
    assert prefixes.count("m", body(message("z" + LONG), message("end")))[1] < 120


def test_claude_knows_what_was_marked_and_marks_are_no_difference() -> None:
    prefixes = PromptCache()
    prefixes.count("claude", body(message(LONG)))
    assert prefixes.count("claude", body(message(LONG), message("b", marked=True)))[1] == 0
    prompt, cached = prefixes.count("claude", body(message(LONG), message("b"), message("c")))
    assert 200 < cached < prompt
