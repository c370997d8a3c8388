from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from playground.model.parsed_conversation import ScriptedCall, ScriptedTurn
from playground.model.scenarios import sequence
from playground.server import Playground

TOOL: Any = {"type": "function", "function": {"name": "read_file", "parameters": {}}}
ASK: Any = [{"role": "user", "content": "hello there"}]


@pytest.fixture
async def model(playground: Playground) -> Any:
    async with AsyncOpenAI(
        api_key=playground.model_key, base_url=playground.model_url, max_retries=0
    ) as client:
        yield client


async def streamed(client: AsyncOpenAI, model: str, messages: Any = ASK) -> list[Any]:
    stream = await client.chat.completions.create(
        model=model, messages=messages, tools=[TOOL], stream=True
    )
    async with stream:
        return [chunk async for chunk in stream]


async def test_text_comes_in_fragments_then_finish_then_usage_with_cost(
    model: AsyncOpenAI,
) -> None:
    chunks = await streamed(model, "anthropic/claude-3.5-sonnet")
    *content, last = chunks
    text = "".join(c.choices[0].delta.content or "" for c in content)
    assert "hello there" in text
    assert len(content) > 5
    assert content[-1].choices[0].finish_reason == "stop"
    assert last.choices == []
    assert last.usage.cost > 0


async def test_parallel_calls_come_interleaved_and_whole(
    playground: Playground, model: AsyncOpenAI
) -> None:
    calls = (
        ScriptedCall("read_file", {"path": "a" * 40}),
        ScriptedCall("read_file", {"path": "b" * 40}),
    )
    playground.model.scenarios.add("two", sequence(ScriptedTurn("", calls), ScriptedTurn("done")))
    chunks = await streamed(model, "scripted/two")
    pieces = [t for c in chunks if c.choices for t in c.choices[0].delta.tool_calls or []]
    assert [p.index for p in pieces[:4]] == [0, 1, 0, 1]
    arguments = ["", ""]
    for piece in pieces:
        arguments[piece.index] += piece.function.arguments
    assert arguments == ['{"path": "' + "a" * 40 + '"}', '{"path": "' + "b" * 40 + '"}']


async def test_the_same_request_gets_the_same_answer_without_streaming(
    model: AsyncOpenAI,
) -> None:
    answers = [
        await model.chat.completions.create(model="openai/gpt-4o", messages=ASK) for _ in range(2)
    ]
    first, second = (a.choices[0].message.content for a in answers)
    assert first == second
    counts = [(a.usage.prompt_tokens, a.usage.completion_tokens) for a in answers if a.usage]
    assert counts[0] == counts[1]


async def test_requests_are_kept_without_the_key(
    playground: Playground, model: AsyncOpenAI
) -> None:
    await streamed(model, "openai/gpt-4o")
    (request,) = playground.model.requests
    assert request.messages == ASK
    assert request.conversation.task.text == "hello there"
    assert playground.model_key not in str((request, playground.feed.entries()))


async def test_a_wrong_key_gets_401(playground: Playground) -> None:
    async with AsyncOpenAI(api_key="wrong", base_url=playground.model_url) as client:
        with pytest.raises(openai.AuthenticationError):
            await streamed(client, "openai/gpt-4o")


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("fault/402", 402),
        ("fault/429", 429),
        ("fault/503", 503),
        ("nobody/knows", 400),
        ("example/no-tools", 404),
        ("scripted/unknown", 400),
        ("fault/unknown", 400),
    ],
)
async def test_errors_before_the_first_token_are_statuses(
    model: AsyncOpenAI, name: str, status: int
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        await streamed(model, name)
    assert caught.value.status_code == status


async def test_an_error_inside_a_200_is_an_empty_stream(model: AsyncOpenAI) -> None:
    assert await streamed(model, "fault/json200") == []
    assert await streamed(model, "fault/html200") == []
    assert await streamed(model, "fault/empty") == []


@pytest.mark.parametrize("name", ["fault/midstream", "fault/midstream-recorded"])
async def test_an_error_in_mid_stream_raises(model: AsyncOpenAI, name: str) -> None:
    with pytest.raises(openai.APIError):
        await streamed(model, name)


async def test_a_cut_stream_raises(model: AsyncOpenAI) -> None:
    with pytest.raises(openai.APIConnectionError):
        await streamed(model, "fault/cut")


async def test_streams_may_end_without_a_finish_or_with_length(model: AsyncOpenAI) -> None:
    def finishes(chunks: list[Any]) -> list[str]:
        return [c.choices[0].finish_reason for c in chunks if c.choices]

    assert set(finishes(await streamed(model, "fault/nofinish"))) == {None}
    assert finishes(await streamed(model, "fault/length"))[-1] == "length"
    assert finishes(await streamed(model, "fault/onlyusage")) == []
    assert finishes(await streamed(model, "fault/comments"))[-1] == "stop"


async def test_a_planned_fault_strikes_once_whatever_the_model(
    playground: Playground, model: AsyncOpenAI
) -> None:
    playground.model.fail_next("502")
    with pytest.raises(openai.APIStatusError):
        await streamed(model, "openai/gpt-4o")
    assert await streamed(model, "openai/gpt-4o")


async def test_models_key_and_credits_are_listed(
    playground: Playground, model: AsyncOpenAI, session: Any
) -> None:
    models = [m async for m in await model.models.list()]
    assert "anthropic/claude-3.5-sonnet" in [m.id for m in models]
    headers = {"Authorization": f"Bearer {playground.model_key}"}
    for path, key in (("key", "limit_remaining"), ("credits", "total_credits")):
        async with session.get(f"{playground.model_url}/{path}", headers=headers) as response:
            assert key in (await response.json())["data"]
        async with session.get(f"{playground.model_url}/{path}") as response:
            assert response.status == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"model": "openai/gpt-4o", "messages": "hello"},
        {"model": "openai/gpt-4o", "messages": []},
        {"model": "openai/gpt-4o", "messages": ["hello"]},
        {"model": "openai/gpt-4o", "messages": [{}], "tools": ["read_file"]},
        {
            "model": "openai/gpt-4o",
            "messages": [{"role": "user"}, {"role": "assistant", "tool_calls": 7}],
        },
    ],
)
async def test_bodies_of_a_wrong_shape_get_400(
    playground: Playground, session: Any, body: Any
) -> None:
    headers = {"Authorization": f"Bearer {playground.model_key}"}
    url = f"{playground.model_url}/chat/completions"
    async with session.post(url, json=body, headers=headers) as response:
        assert response.status == 400
