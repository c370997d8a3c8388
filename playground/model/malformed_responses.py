"""Streams that go wrong: the pieces of an answer with a fault in it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from playground.model.chunks import DONE, Generation, data

Json = dict[str, Any]

HALF = "Half of an ans"
TORN = '{"path": "README.md'
WHOLE = '{"path": "."}'


def broken_pieces(generation: Generation, fault: str) -> Iterator[bytes] | None:
    """The stream with this fault; None for a fault that leaves the stream whole."""
    half = _half(generation)
    match fault:
        case "hang" | "keepalive" | "cut-early":
            pieces: Iterator[bytes] | None = iter(())
        case "empty":
            pieces = iter((DONE,))
        case "onlyusage":
            pieces = _ended(generation)
        case "cut" | "hang-midway" | "nofinish":
            pieces = iter((half,))
        case "notjson":
            pieces = iter((half, b"data: {not json\n\n"))
        case "midstream" | "midstream-recorded":
            error = data(_stream_error(generation, documented=fault == "midstream"))
            pieces = iter((half, error, DONE))
        case "length" | "filtered":
            finish = "length" if fault == "length" else "content_filter"
            pieces = _ended(generation, half, _finish(generation, finish))
        case "blank" | "length-silent":
            finish = "stop" if fault == "blank" else "length"
            pieces = _ended(generation, _finish(generation, finish))
        case _:
            pieces = _broken_calls(generation, fault)
    return pieces


def _broken_calls(generation: Generation, fault: str) -> Iterator[bytes] | None:
    """Streams whose tool calls are not what they should be."""
    torn = _call(generation, "read_file", TORN)
    match fault:
        case "cut-call" | "nofinish-call":
            return iter((torn,))
        case "midstream-call":
            return iter((torn, data(_stream_error(generation, documented=True)), DONE))
        case "length-call":
            return _ended(generation, torn, _finish(generation, "length"))
        case "badarguments":
            return _ended(generation, torn, _finish(generation, "tool_calls"))
        case "noarguments":
            call = _call(generation, "read_file", "")
            return _ended(generation, call, _finish(generation, "tool_calls"))
        case "unknowntool":
            call = _call(generation, "launch_rocket", WHOLE)
            return _ended(generation, call, _finish(generation, "tool_calls"))
        case "sameids":
            calls = [
                _call(generation, "list_directory", WHOLE, index=index, call_id="call_0")
                for index in range(2)
            ]
            return _ended(generation, *calls, _finish(generation, "tool_calls"))
        case _:
            return None


def _half(generation: Generation) -> bytes:
    return data(generation.chunk({"role": "assistant", "content": HALF}))


def _finish(generation: Generation, reason: str) -> bytes:
    turn = replace(generation.turn, finish=reason)
    return data(replace(generation, turn=turn).finish_chunk())


def _ended(generation: Generation, *pieces: bytes) -> Iterator[bytes]:
    yield from pieces
    yield data(generation.usage_chunk())
    yield DONE


def _call(
    generation: Generation, name: str, arguments: str, *, index: int = 0, call_id: str = ""
) -> bytes:
    function = {"name": name, "arguments": arguments}
    call = {"index": index, "id": call_id or generation.call_id(0), "type": "function"}
    delta = {"role": "assistant", "content": None, "tool_calls": [call | {"function": function}]}
    return data(generation.chunk(delta))


def _stream_error(generation: Generation, *, documented: bool) -> Json:
    """An error in the middle of a stream, as documented or as it was really seen."""
    if documented:
        error = {"code": 502, "message": "Provider disconnected unexpectedly"}
        return generation.chunk({"content": ""}, "error") | {"error": error}
    error = {"code": 400, "message": "Output limit hit"}
    return generation.chunk({"role": "assistant", "content": ""}) | {
        "error": error,
        "usage": generation.usage(),
    }
