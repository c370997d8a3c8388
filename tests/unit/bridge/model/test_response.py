import json
from typing import Any

import pytest

from bridge.errors import ModelError
from bridge.model.response import ModelTurn, ToolCall, TurnBuilder


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"id": "gen-1", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def call(index: int, arguments: str = "", **fields: Any) -> dict[str, Any]:
    name = fields.pop("name", None)
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {"index": index, "function": function} | fields


def built(*chunks: object) -> ModelTurn:
    builder = TurnBuilder()
    for chunk in chunks:
        builder.add(chunk)
    return builder.build()


def test_interleaved_fragments_of_parallel_calls_are_put_together() -> None:
    turn = built(
        delta(tool_calls=[call(0, id="a", name="read_file")]),
        delta(tool_calls=[call(1, '{"pa', id="b", name="list_directory"), call(0, '{"path"')]),
        delta(tool_calls=[call(1, 'th": "src"}')]),
        delta(tool_calls=[call(0, ': "a.py"}')]),
        delta("tool_calls"),
    )
    assert turn.tool_calls == (
        ToolCall("a", "read_file", '{"path": "a.py"}'),
        ToolCall("b", "list_directory", '{"path": "src"}'),
    )


def test_missing_and_repeated_ids_are_replaced() -> None:
    turn = built(
        delta(tool_calls=[call(0, name="x"), call(1, name="y", id="same")]),
        delta("tool_calls", tool_calls=[call(2, name="z", id="same")]),
    )
    ids = [c.id for c in turn.tool_calls]
    assert all(ids)
    assert len(set(ids)) == 3


def test_the_usage_chunk_has_no_choices() -> None:
    usage = {
        "prompt_tokens": 200,
        "completion_tokens": 10,
        "cost": 0.00075,
        "prompt_tokens_details": {"cached_tokens": 150},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    turn = built(delta("stop", content="hi"), {"choices": [], "usage": usage, "provider": "P"})
    assert (turn.usage.cached_tokens, turn.usage.reasoning_tokens) == (150, 4)
    assert (turn.usage.cost_usd, turn.provider, turn.generation_id) == (0.00075, "P", "gen-1")


@pytest.mark.parametrize(
    "chunk",
    [
        None, [], "x", 7, {}, {"choices": None}, {"choices": ["x"]}, {"choices": [{"delta": 3}]},
        {"choices": [{"delta": {"content": {"a": 1}, "tool_calls": "x"}}]},
        {"choices": [{"delta": {"tool_calls": [None, {"index": "0", "function": []}]}}]},
        {"usage": {"prompt_tokens": "many", "cost": float("nan"), "prompt_tokens_details": 3}},
        {"usage": {"prompt_tokens": -5, "cost": -1}, "id": 5, "model": [], "provider": {}},
    ],
)  # fmt: skip
def test_chunks_of_any_shape_do_no_harm(chunk: object) -> None:
    turn = built(chunk, delta("stop", content="still here"))
    assert turn.text == "still here"
    assert turn.usage.prompt_tokens == 0
    assert turn.usage.cost_usd is None


def test_an_endless_answer_is_given_up() -> None:
    with pytest.raises(ModelError):
        built(*(delta(content="x" * 10_000) for _ in range(1_000)))


def test_reasoning_goes_back_as_it_came() -> None:
    turn = built(
        delta(reasoning="Thin", reasoning_details=[
            {"type": "reasoning.text", "text": "Thin", "index": 0, "signature": None}]),
        delta(reasoning="king", reasoning_details=[
            {"type": "reasoning.text", "text": "king", "index": 0, "signature": "sig"}]),
        delta("stop", content="Done"),
    )  # fmt: skip
    assert turn.reasoning == "Thinking"
    assert turn.message()["reasoning_details"] == [
        {"type": "reasoning.text", "text": "Thinking", "index": 0, "signature": "sig"}
    ]


def test_reasoning_goes_back_under_the_name_by_which_it_came() -> None:
    turn = built(delta(reasoning_content="Hm"), delta("stop", content="Done"))
    assert turn.message() == {"role": "assistant", "content": "Done", "reasoning_content": "Hm"}


def test_ids_that_were_used_before_are_replaced() -> None:
    turn = ModelTurn(tool_calls=(ToolCall("a", "x", "{}"), ToolCall("b", "x", "{}")))
    assert turn.with_new_ids({"c"}) is turn
    first, second = turn.with_new_ids({"a"}).tool_calls
    assert first.id != "a"
    assert second.id == "b"


@pytest.mark.parametrize(
    ("finish", "arguments", "torn"),
    [
        ("length", '{"path": "a', True),
        ("length", "", True),
        ("length", "{}", False),
        ("tool_calls", '{"path": "a', False),
    ],
)
def test_the_last_call_of_an_answer_that_was_cut_off_is_torn(
    finish: str, arguments: str, torn: bool
) -> None:
    turn = built(
        delta(tool_calls=[call(0, "{}", name="x"), call(1, arguments, name="y")]), delta(finish)
    )
    assert [c.torn for c in turn.tool_calls] == [False, torn]


def test_a_malformed_call_is_kept_in_a_form_that_providers_accept() -> None:
    turn = ModelTurn(tool_calls=(ToolCall("a", "no such name!", '{"half'),))
    function = turn.message()["tool_calls"][0]["function"]
    assert function == {"name": "unknown", "arguments": "{}"}


def test_surrogates_split_over_chunks_are_joined_and_lone_ones_replaced() -> None:
    high, low = json.loads('"\\ud83d"'), json.loads('"\\ude00"')
    assert built(delta(content=high), delta("stop", content=low)).text == "\U0001f600"
