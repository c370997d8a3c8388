"""What model calls cost: entered once, never beyond a cap, whatever happens to the call."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr
from sqlalchemy import select

from bot.agents.access.billing import Billing, CallRequest, CallResult
from bot.domain.agent import AgentStatus
from bot.domain.budget import NANO, Price
from bot.domain.usage import CostSource, UsageTotals
from bot.gateway.connections import ConnectionLimits
from bot.slack.views.presenter import SlackPresenter
from bot.store import tables
from playground.event_feed import EventFeed
from playground.model.server import ModelSettings, ScriptedModel, model_running
from tests.integration.gateway.bench import ASKED, GatewayBench
from tests.integration.gateway.conftest import API, MODEL_KEY, Provider


def usage(cost: object = 0.00075, prompt: int = 200, completion: int = 10) -> dict[str, Any]:
    fields = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "prompt_tokens_details": {"cached_tokens": 50},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    return fields if cost is None else fields | {"cost": cost}


def streaming(*pieces: bytes, then: str = "end") -> Any:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if then == "cut":
            assert request.transport
            request.transport.abort()
        return response

    return handler


def chunk(**fields: object) -> bytes:
    head = {"id": "gen-1", "model": "acme/real", "provider": "Acme", "choices": []}
    return b"data: " + json.dumps(head | fields).encode() + b"\n\n"


N = 200
DONE = b"data: [DONE]\n\n"


async def test_a_stream_is_entered_with_what_the_provider_says(
    bench: GatewayBench, provider: Provider
) -> None:
    await bench.agent(task_id="k3f9ab-7")
    whole = chunk(choices=[{"delta": {"content": 'a "usage" of words'}}]) + chunk(usage=usage())
    # The usage arrives torn in the middle of a line.
    provider.chat = streaming(whole[:150], whole[150:-20], whole[-20:], DONE)
    assert await bench.ask() == (200, whole + DONE)
    [row] = await bench.rows()
    assert (row.agent_id, row.task_id, row.user, row.channel) == (
        "k3f9ab", "k3f9ab-7", "UANA", "C1",
    )  # fmt: skip
    assert (row.model, row.provider, row.generation_id) == ("acme/real", "Acme", "gen-1")
    assert (row.prompt_tokens, row.completion_tokens) == (200, 10)
    assert (row.cached_tokens, row.reasoning_tokens) == (50, 3)
    assert (row.nano, row.source) == (750_000, CostSource.PROVIDER)
    assert await bench.spent_nano("k3f9ab") == 750_000


async def test_usage_is_asked_for_and_the_answer_is_limited(
    bench: GatewayBench, provider: Provider
) -> None:
    await bench.agent()
    seen: list[dict[str, Any]] = []

    async def note(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.json_response({"choices": [], "usage": usage()})

    provider.chat = note
    asked = [
        ASKED | {"stream_options": {"include_usage": False}, "usage": {"include": False}},
        ASKED | {"max_tokens": 100},
        ASKED | {"max_completion_tokens": 100_000, "max_tokens": 50_000, "stream": False},
    ]
    for body in asked:
        assert (await bench.ask(body=body))[0] == N
    assert [call.get("max_tokens") for call in seen] == [8_192, 100, 8_192]
    assert not any("max_completion_tokens" in call for call in seen)
    assert all(call["usage"] == {"include": True} for call in seen)
    assert [call.get("stream_options") for call in seen] == [
        {"include_usage": True}, {"include_usage": True}, None,
    ]  # fmt: skip
    assert [row.nano for row in await bench.rows()] == [750_000] * 3


@pytest.mark.parametrize(
    ("cost", "nano", "source"),
    [
        (None, 3_000 * 200 + 15_000 * 10, CostSource.CATALOGUE),
        ("free", 3_000 * 200 + 15_000 * 10, CostSource.CATALOGUE),
        (-1, 3_000 * 200 + 15_000 * 10, CostSource.CATALOGUE),
        (1e12, 3_000 * 200 + 15_000 * 10, CostSource.CATALOGUE),
        (0, 0, CostSource.PROVIDER),
    ],
)
async def test_a_cost_that_the_provider_does_not_name_is_computed(
    bench: GatewayBench, provider: Provider, cost: object, nano: int, source: CostSource
) -> None:
    await bench.agent()
    provider.chat = streaming(chunk(usage=usage(cost)), DONE)
    await bench.ask()
    [row] = await bench.rows()
    assert (row.nano, row.source) == (nano, source)


async def test_a_model_without_a_price_is_counted_at_the_assumed_one(
    bench: GatewayBench, provider: Provider
) -> None:
    await bench.agent()
    provider.chat = streaming(chunk(usage=usage(None)), DONE)
    await bench.ask(body=ASKED | {"model": "acme/unheard-of"})
    [row] = await bench.rows()
    assert (row.nano, row.source) == (210 * 10_000, CostSource.ASSUMED)


async def test_that_no_price_is_known_is_said_once_where_a_budget_counts(
    bench: GatewayBench, provider: Provider
) -> None:
    await bench.agent(budget_nano=NANO)
    await bench.agent("without")
    provider.chat = streaming(chunk(usage=usage(None)), DONE)
    for model in ("acme/unheard-of", "acme/unheard-of", "<!channel>"):
        await bench.ask(body=ASKED | {"model": model})
        await bench.ask("without", body=ASKED | {"model": model})
    async with bench.store._engines.reading() as connection:
        rows = list((await connection.execute(select(tables.outbox))).all())
    texts = [json.loads(row.payload)["text"] for row in rows if ":price:" in row.key]
    assert len(texts) == 2
    assert texts[0].startswith("No price is known for `acme/unheard-of`: towards the budget")
    assert "$10.00 a million" in texts[0]
    assert "<!channel>" not in texts[1]
    # The tokens are the cap then: a million of them cost ten dollars.
    huge = ASKED | {"model": "acme/unheard-of", "max_tokens": 32_000, "messages": [
        {"role": "user", "content": "word " * 100_000},
    ]}  # fmt: skip
    assert (await bench.ask(body=huge))[0] == 402


async def test_an_own_key_at_the_upstream_counts_both_bills(
    bench: GatewayBench, provider: Provider
) -> None:
    await bench.agent()
    own = usage(0.001) | {"is_byok": True, "cost_details": {"upstream_inference_cost": 0.02}}
    provider.chat = streaming(chunk(usage=own), DONE)
    await bench.ask()
    assert [row.nano for row in await bench.rows()] == [21_000_000]


async def test_a_call_that_breaks_off_stands_at_its_worst(
    bench: GatewayBench, provider: Provider
) -> None:
    await bench.agent()
    provider.chat = streaming(chunk(choices=[{"delta": {"content": "Half"}}]), then="cut")
    with pytest.raises(aiohttp.ClientError):
        await bench.ask()
    [row] = await bench.rows()
    assert row.source == CostSource.ESTIMATE
    assert row.nano > 8_192 * 15_000


async def test_a_call_whose_agent_leaves_has_an_entry(
    bench: GatewayBench, provider: Provider
) -> None:
    await bench.agent()
    arrived, entered = asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": wait\n\n")
        arrived.set()
        await asyncio.Event().wait()
        return response

    provider.chat = hang
    assert bench.gateway
    billing = bench.gateway._model.billing
    assert billing
    settle = billing.settle

    async def watched(*arguments: Any) -> None:
        await settle(*arguments)
        entered.set()

    billing.settle = watched  # type: ignore[method-assign,assignment]
    async with asyncio.timeout(5):
        asking = asyncio.get_running_loop().create_task(bench.ask())
        await arrived.wait()
        assert [row.source for row in await bench.rows()] == [CostSource.RESERVED]
        asking.cancel()
        await entered.wait()
    assert [row.source for row in await bench.rows()] == [CostSource.ESTIMATE]


async def test_a_whole_stream_without_usage_is_estimated_by_its_size(
    bench: GatewayBench, provider: Provider
) -> None:
    await bench.agent()
    provider.chat = streaming(chunk(choices=[{"delta": {"content": "Hi"}}]), DONE)
    await bench.ask()
    [row] = await bench.rows()
    assert row.source == CostSource.ESTIMATE
    assert 0 < row.nano < 3_000_000


@pytest.mark.parametrize("status", [400, 402, 429, 500, 503])
async def test_what_the_provider_refuses_costs_nothing(
    bench: GatewayBench, provider: Provider, status: int
) -> None:
    await bench.agent()

    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": {"code": status, "message": MODEL_KEY}}, status=status)

    provider.chat = refuse
    answered, body = await bench.ask()
    assert answered == status
    assert MODEL_KEY.encode() not in body
    assert [(row.nano, row.source) for row in await bench.rows()] == [(0, CostSource.NOTHING)]


async def test_an_error_without_end_is_cut_short(bench: GatewayBench, provider: Provider) -> None:
    await bench.agent()

    async def babble(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=500)
        await response.prepare(request)
        for _ in range(40):
            await response.write(b"x" * 65_536)
        return response

    provider.chat = babble
    status, body = await bench.ask()
    assert status == 500
    assert len(body) < 300


async def test_a_used_budget_is_a_402_that_a_machine_can_read(
    bench: GatewayBench, provider: Provider
) -> None:
    await bench.agent(budget_nano=NANO // 10)
    provider.chat = streaming(chunk(usage=usage(0.1)), DONE)
    assert (await bench.ask())[0] == N
    status, body = await bench.ask()
    assert status == 402
    error = json.loads(body)["error"]
    assert error["code"] == 402
    assert error["message"] == "The budget of this agent is used: $0.10 of $0.10."
    assert error["metadata"] == {
        "reason": "budget_used",
        "scope": "agent",
        "used_usd": "0.100000",
        "limit_usd": "0.100000",
    }
    assert len(provider.chats) == 1


async def test_a_small_rest_shortens_the_answer_that_is_asked_for(
    bench: GatewayBench, provider: Provider
) -> None:
    await bench.agent(budget_nano=NANO // 20)
    seen: list[int] = []

    async def note(request: web.Request) -> web.Response:
        seen.append((await request.json())["max_tokens"])
        return web.json_response({"choices": [], "usage": usage()})

    provider.chat = note
    await bench.ask()
    assert 3_000 < seen[0] < 3_334


async def test_the_warning_comes_once_at_80_per_cent(
    bench: GatewayBench, provider: Provider
) -> None:
    await bench.agent(budget_nano=NANO)
    provider.chat = streaming(chunk(usage=usage(0.3)), DONE)
    for _ in range(3):
        await bench.ask()
    async with bench.store._engines.reading() as connection:
        rows = list((await connection.execute(select(tables.outbox))).all())
    assert [row.key for row in rows] == [f"notice:budget:{NANO}"]
    assert "$0.90 of this agent's budget of $1.00" in rows[0].payload


async def test_twenty_agents_of_one_user_hold_the_cap_of_the_day(
    bench: GatewayBench, provider: Provider
) -> None:
    await bench.set(budget_user_day_usd=1.0)
    for number in range(20):
        await bench.agent(f"agent{number}", channel=f"C{number}")
    await bench.agent("other", started_by="UBEN")
    billed = 0

    async def bill(request: web.Request) -> web.Response:
        nonlocal billed
        asked = await request.json()
        # As dear as the call may be.
        cost = 15_000 * asked["max_tokens"] + 3_000 * 20
        billed += cost
        return web.json_response({"choices": [], "usage": usage(cost / NANO)})

    provider.chat = bill
    results = await asyncio.gather(*(bench.ask(f"agent{number % 20}") for number in range(100)))
    statuses = [status for status, _ in results]
    assert set(statuses) == {200, 402}
    assert 0.9 * NANO < billed <= NANO
    assert b"person who started this agent" in next(
        body for status, body in results if status == 402
    )
    assert (await bench.ask("other"))[0] == N
    sums = await bench.store.usage_rows.sums("T1", since=0)
    assert {entry.user for entry in sums} == {"UANA", "UBEN"}
    assert sum(entry.nano for entry in sums if entry.user == "UANA") <= NANO
    of_ben = await bench.store.usage_rows.sums("T1", since=0, user="UBEN")
    assert of_ben == [entry for entry in sums if entry.user == "UBEN"]
    assert not await bench.store.usage_rows.sums("T2", since=0)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("budget_agent_usd", b"of this agent"),
        ("budget_channel_day_usd", b"of this channel"),
        ("budget_deployment_day_usd", b"of this Threadsmith"),
    ],
)
async def test_each_cap_is_held_and_named(
    bench: GatewayBench, provider: Provider, setting: str, words: bytes
) -> None:
    await bench.set(**{setting: 0.2})
    await bench.agent()
    provider.chat = streaming(chunk(usage=usage(0.2)), DONE)
    assert (await bench.ask())[0] == N
    status, body = await bench.ask()
    assert status == 402
    assert words in body


async def test_a_day_ends_at_midnight_utc(bench: GatewayBench, provider: Provider) -> None:
    now = 86_400.0 * 20_000 - 1
    await bench.agent()
    bench.bill_by(lambda: now, budget_user_day_usd=0.2)
    provider.chat = streaming(chunk(usage=usage(0.2)), DONE)
    assert (await bench.ask())[0] == N
    assert (await bench.ask())[0] == 402
    now += 1
    assert (await bench.ask())[0] == N
    days = await bench.store.usage_rows.sums("T1", since=0)
    assert [entry.day for entry in days] == ["2024-10-03", "2024-10-04"]


async def test_a_clock_that_jumps_opens_no_cap_and_closes_none_for_years(
    bench: GatewayBench, provider: Provider
) -> None:
    today = now = 86_400.0 * 20_000 + 3_600
    await bench.agent()
    bench.bill_by(lambda: now, budget_user_day_usd=0.2)
    provider.chat = streaming(chunk(usage=usage(0.2)), DONE)
    assert (await bench.ask())[0] == N
    now = today - 2 * 3_600  # back over midnight: what was spent just now still counts
    assert (await bench.ask())[0] == 402
    now = today + 4_000 * 86_400.0  # years ahead, and a call there
    assert (await bench.ask())[0] == N
    now = today + 86_400
    assert (await bench.ask())[0] == N
    assert (await bench.ask())[0] == 402


async def test_a_call_that_is_entered_twice_counts_once(bench: GatewayBench) -> None:
    await bench.agent("twice", budget_nano=NANO)
    billing = Billing(bench.store, SlackPresenter("x"), bench.settings)
    price = Price(Decimal("0.000001"), Decimal("0.000001"))
    reservation = await billing.begin("twice", CallRequest("acme/model", 10, 10, price))
    ended = CallResult(UsageTotals(prompt_tokens=10, completion_tokens=5, cost_nano=700))
    for _ in range(2):
        await billing.settle(reservation, ended)
    await billing.settle(reservation, CallResult(UsageTotals(cost_nano=9_000)))
    [row] = await bench.rows()
    assert row.nano == 700
    assert await bench.spent_nano("twice") == 700


async def test_what_a_killed_process_left_open_stands_at_its_worst(
    bench: GatewayBench, provider: Provider
) -> None:
    await bench.agent(budget_nano=NANO)
    provider.chat = streaming(chunk(usage=usage()), DONE)
    await bench.ask()
    [row] = await bench.rows()
    async with bench.store._engines.writing() as connection:
        open_row = tables.usage.update().values(source=CostSource.RESERVED, nano=NANO)
        await connection.execute(open_row)
    assert await bench.store.usage_rows.settle_open() == 1
    assert await bench.store.usage_rows.settle_open() == 0
    assert (await bench.ask())[0] == 402
    assert row.id


async def test_an_agent_that_has_ended_asks_in_vain(
    bench: GatewayBench, provider: Provider
) -> None:
    await bench.agent(status=AgentStatus.STOPPED)
    assert (await bench.ask())[0] == 401
    assert provider.chats == []


async def test_calls_over_the_rate_wait(bench: GatewayBench, provider: Provider) -> None:
    gateway = await bench.set(model_calls_per_minute=2)
    await bench.agent()
    provider.chat = streaming(chunk(usage=usage()), DONE)
    for _ in range(2):
        assert (await bench.ask())[0] == N
    access = gateway.access("k3f9ab", API)
    headers = {"Authorization": f"Bearer {access.token.get_secret_value()}"}
    url = f"{access.model_base_url}/chat/completions"
    async with bench.session.post(url, json=ASKED, headers=headers) as answer:
        assert answer.status == 429
        assert 50 <= int(answer.headers["Retry-After"]) <= 61
    assert len(provider.chats) == 2


async def test_two_hundred_streams_at_once_pass_unbuffered_and_add_up(
    bench: GatewayBench, provider: Provider
) -> None:
    bench.connections = ConnectionLimits(per_agent=N)
    await bench.set(model_calls_per_minute=0)
    await bench.agent()
    together = asyncio.Barrier(N)
    lags: list[float] = []

    async def slowly(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await together.wait()
        await response.write(b"data: %f\n\n" % time.monotonic())
        await together.wait()
        await response.write(chunk(usage=usage()) + DONE)
        return response

    provider.chat = slowly
    assert bench.gateway
    access = bench.gateway.access("k3f9ab", API)
    headers = {"Authorization": f"Bearer {access.token.get_secret_value()}"}
    url = f"{access.model_base_url}/chat/completions"

    async def one(client: aiohttp.ClientSession) -> None:
        async with client.post(url, json=ASKED, headers=headers) as answer:
            line = await answer.content.readline()
            lags.append(time.monotonic() - float(line.removeprefix(b"data: ")))
            assert (await answer.read()).endswith(DONE)

    wide = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=wide) as client:
        await asyncio.gather(*(one(client) for _ in range(N)))
    lags.sort()
    assert len(lags) == N
    assert lags[N // 2] < 0.5  # all at once, with the provider and the readers on the same loop
    assert sum(row.nano for row in await bench.rows()) == N * 750_000


async def test_the_first_byte_is_at_most_50_ms_late(
    bench: GatewayBench, provider: Provider
) -> None:
    await bench.agent()
    lags: list[float] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: %f\n\n" % time.monotonic())
        await response.write(chunk(usage=usage()) + DONE)
        return response

    provider.chat = answer
    assert bench.gateway
    access = bench.gateway.access("k3f9ab", API)
    headers = {"Authorization": f"Bearer {access.token.get_secret_value()}"}
    url = f"{access.model_base_url}/chat/completions"
    for _ in range(20):
        async with bench.session.post(url, json=ASKED, headers=headers) as got:
            line = await got.content.readline()
            lags.append(time.monotonic() - float(line.removeprefix(b"data: ")))
            await got.read()
    lags.sort()
    assert lags[10] < 0.05


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedModel]:
    async with model_running(ModelSettings(), EventFeed()) as model:
        yield model


async def test_the_ledger_agrees_with_the_bill_of_the_scripted_model(
    bench: GatewayBench, scripted: ScriptedModel
) -> None:
    await bench.set(
        openrouter_base_url=scripted.url,
        openrouter_api_key=SecretStr(scripted.settings.api_key),
    )
    await bench.agent()
    for number in range(12):
        body = ASKED | {
            "model": ("anthropic/claude-3.5-sonnet", "openai/gpt-4o")[number % 2],
            "messages": [{"role": "user", "content": f"say hello {'again ' * number}"}],
            "stream": number % 3 > 0,
        }
        assert (await bench.ask(body=body))[0] == N
    sums = await bench.store.usage_rows.sums("T1", since=0)
    assert sum(entry.calls for entry in sums) == 12
    assert sum(entry.nano for entry in sums) == scripted.bill_nano > 0
