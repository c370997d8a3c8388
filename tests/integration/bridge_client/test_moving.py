"""What the client asks of a bridge so that a conversation outlives its container."""

import asyncio
import io
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.bridge_client import ClientLimits, HttpBridge
from bot.domain.container import BridgeAddress
from bot.errors import AnswerTooLarge, BridgeRefused, BridgeUnreachable
from tests.integration.bridge_client.conftest import TOKEN, FakeBridge

Move = Callable[[HttpBridge, BridgeAddress], Awaitable[object]]
MOVES: dict[str, Move] = {
    "/agent/messages/m1": lambda bridge, address: bridge.revise(address, "m1", "new"),
    "/agent/conversation": lambda bridge, address: bridge.restore(address, b"{}"),
    "/agent/patch": lambda bridge, address: bridge.apply(address, b"diff"),
}


@pytest.fixture
def hasty(bridge: HttpBridge) -> HttpBridge:
    bridge._limits = bridge._requests._limits = ClientLimits(
        answer_seconds=0.1, conversation_seconds=0.1, apply_seconds=0.1
    )
    return bridge


async def test_a_waiting_message_is_changed_or_withdrawn(
    bridge: HttpBridge, fake: FakeBridge
) -> None:
    asked = []

    async def revised(request: web.Request) -> web.Response:
        asked.append((request.method, await request.text()))
        return web.json_response({"revised": request.method == "PUT", "news": 1})

    fake.handlers["/agent/messages/a:b"] = revised
    assert await bridge.revise(fake.address, "a:b", "new") is True
    assert await bridge.revise(fake.address, "a:b", None) is False
    assert asked == [("PUT", '{"text":"new"}'), ("DELETE", "")]


async def test_no_message_id_leads_to_another_route(bridge: HttpBridge, fake: FakeBridge) -> None:
    with pytest.raises(BridgeRefused):
        await bridge.revise(fake.address, "../patch?x=#", None)
    assert fake.requests[0].path == "/agent/messages/../patch?x=#"
    assert fake.requests[0].raw_path.startswith("/agent/messages/..%2Fpatch%3F")


async def test_bytes_go_and_come_as_they_are(bridge: HttpBridge, fake: FakeBridge) -> None:
    got = {}

    async def keep(request: web.Request) -> web.Response:
        if request.method == "PUT":
            got[request.path] = await request.content.read()
            return web.json_response({})
        return web.Response(body=io.BytesIO(got[request.path]))

    fake.handlers["/agent/conversation"] = fake.handlers["/agent/patch"] = keep
    conversation = b'{"x": "' + b"y" * 3_000_000 + b'"}'
    await bridge.restore(fake.address, conversation)
    assert await bridge.export(fake.address) == conversation
    await bridge.apply(fake.address, b"\0patch")
    assert got["/agent/patch"] == b"\0patch"
    assert {r.headers["Authorization"] for r in fake.requests} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("path", MOVES)
async def test_an_error_of_the_contract_is_passed_on(
    bridge: HttpBridge, fake: FakeBridge, path: str
) -> None:
    fake.answers(path, {"error": {"code": "workspace_conflict", "message": "no"}}, 409)
    with pytest.raises(BridgeRefused) as caught:
        await MOVES[path](bridge, fake.address)
    assert (caught.value.status, caught.value.error.code) == (409, "workspace_conflict")


@pytest.mark.parametrize("path", MOVES)
async def test_a_bridge_that_does_not_answer_is_given_up(
    hasty: HttpBridge, fake: FakeBridge, path: str
) -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    fake.handlers[path] = silent
    with pytest.raises(BridgeUnreachable, match="Timeout"):
        await MOVES[path](hasty, fake.address)
    with pytest.raises(BridgeUnreachable):
        await MOVES[path](hasty, BridgeAddress("http://127.0.0.1:1", SecretStr(TOKEN)))


async def test_an_export_beyond_its_bound_is_no_answer(
    bridge: HttpBridge, fake: FakeBridge
) -> None:
    async def huge(_: web.Request) -> web.Response:
        return web.Response(body=io.BytesIO(b"x" * (32 * 2**20 + 1)))

    fake.handlers["/agent/conversation"] = huge
    async with aiohttp.ClientSession() as session:
        with pytest.raises(AnswerTooLarge, match="more than"):
            await HttpBridge(session).export(fake.address)


async def test_what_no_bridge_takes_is_not_sent(bridge: HttpBridge, fake: FakeBridge) -> None:
    with pytest.raises(BridgeRefused, match="more than"):
        await bridge.restore(fake.address, b"x" * (32 * 2**20 + 1))
    with pytest.raises(BridgeRefused, match="more than"):
        await bridge.apply(fake.address, b"x" * (20 * 2**20 + 1))
    assert fake.requests == []


HOSTILE = {
    "deep": b"[" * 20_000_000,
    "deep and whole": b'{"messages": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "wide": b"[" + b"[]," * 10_000_000 + b"[]]",
    "wide strings": b"[" + b'"",' * 10_000_000 + b'""]',
    "a long number": b'{"last_seq": ' + b"1" * 30_000_000 + b"}",
    "no text": b'{"x": "\xff"}',
    "no JSON": b"<html>",
    "empty": b"",
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
async def test_a_conversation_that_cannot_be_read_is_an_error_of_this_bridge(
    fake: FakeBridge, body: bytes
) -> None:
    async def hostile(_: web.Request) -> web.Response:
        return web.Response(body=io.BytesIO(body))

    fake.handlers["/agent/conversation"] = hostile
    async with aiohttp.ClientSession() as session:
        with pytest.raises(BridgeUnreachable, match="not a conversation"):
            await HttpBridge(session).export(fake.address)


@pytest.mark.parametrize("body", [b"[" * 12_000_000, b"[" + b"[]," * 4_000_000 + b"[]]"])
async def test_a_diff_that_costs_more_than_its_bytes_tell_is_not_read(
    fake: FakeBridge, body: bytes
) -> None:
    async def hostile(_: web.Request) -> web.Response:
        return web.Response(body=io.BytesIO(body))

    fake.handlers["/agent/diff"] = hostile
    async with aiohttp.ClientSession() as session:
        with pytest.raises(BridgeUnreachable, match="not a diff"):
            await HttpBridge(session).diff(fake.address)
