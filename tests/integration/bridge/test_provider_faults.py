import asyncio
import json

import pytest
from aiohttp import web
from pydantic import SecretStr

from bridge.errors import ModelError
from bridge.model.client import ModelRequest, OpenAIChatModel
from bridge.protocol import (
    ErrorCode,
    MessageWritten,
    ModelRetried,
    Outcome,
    TaskFinished,
    UsageRecorded,
)
from tests.integration.bridge.conftest import (
    DONE,
    KEY,
    Client,
    Provider,
    Reply,
    calls,
    chunk,
    fails,
    says,
    streams,
    usage,
)


async def reset(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


async def silence(_request: web.Request) -> None:
    await asyncio.sleep(1.5)


def comments_only() -> Reply:
    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            for _ in range(30):
                await response.write(b": OPENROUTER PROCESSING\n\n")
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        return response

    return reply


def error_chunk(code: object, message: str) -> str:
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    body = {"id": "gen-1", "error": {"code": code, "message": message}, "choices": [choice]}
    return f"data: {json.dumps(body)}\n\n"


HALF = chunk(content="Half an ans")
PERMANENT = {
    "wrong key": (
        fails(401, {"error": {"code": 401, "message": f"wrong key {KEY}"}}),
        "model_auth",
    ),
    "unpaid": (
        fails(402, {"error": {"code": 402, "message": "Insufficient credits"}}),
        "model_payment",
    ),
    "key without rights": (fails(403, {"error": {"code": 403, "message": "no"}}), "model_auth"),
    "unknown model": (
        fails(404, {"error": {"code": 404, "message": "No endpoints"}}),
        "model_not_found",
    ),
    "refused": (fails(400, {"error": {"code": 400, "message": f"odd {KEY}"}}), "model_refused"),
    "context overflow": (
        fails(400, {"error": {"code": 400, "message": "maximum context length is 8192"}}),
        "context_overflow",
    ),
    "unpaid in mid-stream": (streams(HALF, error_chunk(402, "credit used up")), "model_payment"),
    "content filter": (streams(chunk("content_filter"), DONE), "model_refused"),
    "only reasoning up to the limit": (
        streams(chunk("length", reasoning="Thinking"), usage(), DONE),
        "model_bad_answer",
    ),
    "asks to wait for hours": (
        fails(429, {"error": {"message": "x"}}, **{"Retry-After": "9000"}),
        "model_rate_limited",
    ),
}
PASSING = {
    "timeout": (
        fails(408, {"error": {"code": 408, "message": "Request timed out"}}),
        "model_timeout",
    ),
    "rate limit": (
        fails(429, {"error": {"message": "x"}}, **{"Retry-After": "1"}),
        "model_rate_limited",
    ),
    "bad gateway": (fails(502, {"error": {"message": "x"}}), "model_unavailable"),
    "unavailable": (fails(503, "<html>down</html>"), "model_unavailable"),
    "page": (fails(200, "<html>log in</html>"), "model_bad_answer"),
    "error with status 200": (
        fails(200, {"error": {"code": 500, "message": "Internal"}}),
        "model_unavailable",
    ),
    "json instead of a stream": (fails(200, {"choices": []}), "model_bad_answer"),
    "nothing": (streams(), "model_bad_answer"),
    "only done": (streams(DONE), "model_bad_answer"),
    "only usage": (streams(usage(), DONE), "model_bad_answer"),
    "no finish": (streams(HALF), "model_bad_answer"),
    "empty answer": (streams(chunk("stop", content=""), usage(), DONE), "model_bad_answer"),
    "no json": (streams(HALF, "data: {not json\n\n"), "model_bad_answer"),
    "disconnected": (streams(HALF, error_chunk(502, "Provider disconnected")), "model_unavailable"),
    "error without status": (streams(HALF, error_chunk("server_error", "x")), "model_unavailable"),
    "reset": (streams(HALF, then=reset), "model_unavailable"),
    "silence": (streams(HALF, then=silence), "model_timeout"),
    "only comments": (comments_only(), "model_timeout"),
}


def byte_by_byte(text: str) -> Reply:
    """A whole stream with CRLF at its lines' ends, no two bytes of it in one write."""

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        choice = {"index": 0, "delta": {"content": text}, "finish_reason": "stop"}
        body = json.dumps({"id": "gen-1", "choices": [choice]}, ensure_ascii=False)
        stream = f": PROCESSING\n\ndata: {body}\n\n{usage()}{DONE}".replace("\n", "\r\n")
        for byte in stream.encode():
            await response.write(bytes([byte]))
        return response

    return reply


async def test_an_answer_may_come_in_any_pieces(client: Client, provider: Provider) -> None:
    provider.script = [byte_by_byte("Grüße, 世界 🤖")]
    await client.execute()
    events = await client.events("task_finished")
    said = [event.text for event in events if isinstance(event, MessageWritten)]
    assert said == ["Grüße, 世界 🤖"]
    assert not any(isinstance(event, ModelRetried) for event in events)


@pytest.mark.parametrize(("fault", "code"), PERMANENT.values(), ids=PERMANENT)
async def test_a_final_fault_is_one_clear_error_and_the_agent_stays_usable(
    client: Client, provider: Provider, fault: Reply, code: str
) -> None:
    provider.script = [fault, says("Here again.")]
    await client.execute()
    events = await client.events("task_finished")
    last = events[-1]
    assert isinstance(last, TaskFinished)
    assert last.error is not None
    assert (last.outcome, last.error.code) == (Outcome.FAILED, code)
    assert not any(isinstance(event, ModelRetried) for event in events)
    assert not any(KEY in event.model_dump_json() for event in events)
    await client.chat(1)
    (again,) = (await client.events("task_finished", f"/agent/events?after={last.seq}"))[-1:]
    assert isinstance(again, TaskFinished)
    assert again.outcome is Outcome.COMPLETED


@pytest.mark.parametrize(("fault", "code"), PASSING.values(), ids=PASSING)
async def test_a_passing_fault_is_retried(
    client: Client, provider: Provider, fault: Reply, code: str
) -> None:
    provider.script = [fault, says("Recovered.")]
    await client.execute()
    events = await client.events("task_finished")
    retried = [event for event in events if isinstance(event, ModelRetried)]
    assert [event.error.code for event in retried] == [code]
    last = events[-1]
    assert isinstance(last, TaskFinished)
    assert last.outcome is Outcome.COMPLETED
    assert len(provider.requests) == 2
    assert provider.requests[0]["messages"] == provider.requests[1]["messages"]


async def test_a_fault_after_the_end_of_the_answer_does_not_spoil_it(
    client: Client, provider: Provider
) -> None:
    provider.script = [streams(chunk("stop", content="All said."), then=reset)]
    await client.execute()
    last = (await client.events("task_finished"))[-1]
    assert isinstance(last, TaskFinished)
    assert last.outcome is Outcome.COMPLETED


async def test_an_unreachable_provider_is_a_clear_error() -> None:
    model = OpenAIChatModel("http://127.0.0.1:9/v1", SecretStr(KEY), progress_timeout_seconds=5.0)
    with pytest.raises(ModelError) as caught:
        await model.complete(ModelRequest("acme/model", [], []), lambda _text: None)
    await model.close()
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert caught.value.retryable


async def test_the_request_is_what_openrouter_expects(client: Client, provider: Provider) -> None:
    provider.script = [calls(("list_directory", {}), ("git_status", {})), says("Done.")]
    await client.execute()
    events = await client.events("task_finished")
    first, second = provider.requests
    assert first["stream"] is True
    assert first["stream_options"] == {"include_usage": True}
    assert first["usage"] == {"include": True}
    assert {tool["function"]["name"] for tool in first["tools"]} >= {"read_file", "run_command"}
    assert first["messages"] == second["messages"][: len(first["messages"])]
    assert [m["role"] for m in second["messages"][-3:]] == ["assistant", "tool", "tool"]
    assert provider.headers[0]["Authorization"] == f"Bearer {KEY}"
    recorded = [event.cost_usd for event in events if isinstance(event, UsageRecorded)]
    assert recorded == [0.25, 0.25]
    _, status = await client.get("/agent/status")
    assert status["usage"]["cost_usd"] == 0.5
