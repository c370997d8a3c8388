"""Model calls through the gateway."""

import asyncio
import io
import json
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.config import Settings
from bot.gateway.model.request import ChatCall, read_chat
from bot.gateway.server import HostGateway
from tests.integration.gateway.conftest import API, MODEL_KEY, Provider

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def bearer(gateway: HostGateway, agent_id: str = "k3f9ab") -> dict[str, str]:
    token = gateway.access(agent_id, API).token.get_secret_value()
    return {"Authorization": f"Bearer {token}"}


def chat_url(gateway: HostGateway) -> str:
    return gateway.access("k3f9ab", API).model_base_url + "/chat/completions"


async def echo(request: web.Request) -> web.Response:
    return web.json_response({"got": await request.json()})


async def test_the_key_is_added_and_nothing_else_of_the_container_goes_out(
    gateway: HostGateway, provider: Provider, session: aiohttp.ClientSession
) -> None:
    provider.chat = echo
    hostile = {
        "Cookie": "canary=1",
        "Forwarded": "for=canary",
        "X-Forwarded-For": "canary",
        "Proxy-Authorization": "Basic canary",
        "X-Api-Key": "canary",
        "HTTP-Referer": "canary",
        "Connection": "keep-alive, x-canary",
        "X-Canary": "1",
    }
    headers = bearer(gateway) | hostile
    async with session.post(chat_url(gateway), json=ASKED, headers=headers) as answer:
        got = (await answer.json())["got"]
    assert got == ASKED | {"max_tokens": 16_384, "usage": {"include": True}}
    [seen] = provider.chats
    assert seen.path == "/api/v1/chat/completions"
    assert seen.headers["Authorization"] == f"Bearer {MODEL_KEY}"
    assert "canary" not in str(seen.headers).replace(MODEL_KEY, "")
    assert "agt_" not in str(seen.headers)


async def test_the_first_byte_passes_before_the_second_is_there(
    gateway: HostGateway, provider: Provider, session: aiohttp.ClientSession
) -> None:
    first_was_read = asyncio.Event()

    async def slowly(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await first_was_read.wait()
        await response.write(b"data: [DONE]\n\n")
        return response

    provider.chat = slowly
    async with session.post(chat_url(gateway), json=ASKED, headers=bearer(gateway)) as answer:
        assert await answer.content.readline() == b"data: 1\n"
        first_was_read.set()
        assert (await answer.read()).endswith(b"[DONE]\n\n")
        assert answer.content_type == "text/event-stream"


async def test_errors_of_the_provider_pass_with_their_headers(
    gateway: HostGateway, provider: Provider, session: aiohttp.ClientSession
) -> None:
    async def limited(_: web.Request) -> web.Response:
        headers = {"Retry-After": "7", "Set-Cookie": "canary=1"}
        return web.json_response({"error": {"code": 429}}, status=429, headers=headers)

    provider.chat = limited
    async with session.post(chat_url(gateway), json=ASKED, headers=bearer(gateway)) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer agt_k3f9ab",
        "Bearer agt_k3f9ab." + "0" * 64,
        "Bearer agt_." + "0" * 64,
        "Bearer agt_k3f9ab.é",
        "Basic ???",
        "Digest x",
        f"Bearer {MODEL_KEY}",
        "Bearer " + "x" * 5_000,
    ],
)
async def test_a_wrong_token_is_refused_in_the_providers_shape(
    gateway: HostGateway,
    provider: Provider,
    session: aiohttp.ClientSession,
    authorization: str,
) -> None:
    headers = {"Authorization": authorization}
    async with session.post(chat_url(gateway), json=ASKED, headers=headers) as answer:
        assert answer.status == 401
        assert (await answer.json())["error"]["code"] == 401
    assert provider.requests == []


async def test_only_open_agents_pass(
    gateway: HostGateway, provider: Provider, session: aiohttp.ClientSession
) -> None:
    provider.chat = echo
    for agent_id, expected in (("never", 401), ("k3f9ab", 200)):
        headers = bearer(gateway, agent_id)
        async with session.post(chat_url(gateway), json=ASKED, headers=headers) as answer:
            assert answer.status == expected
    await gateway.close("k3f9ab")
    await gateway.close("k3f9ab")
    async with session.post(chat_url(gateway), json=ASKED, headers=bearer(gateway)) as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/chat/completions", 405),
        ("POST", "/models", 405),
        ("POST", "/completions", 404),
        ("GET", "/key", 404),
        ("GET", "/../../key", 404),
        ("POST", "/chat/completions/..%2f..%2fkeys", 404),
        ("GET", "", 404),
    ],
)
async def test_only_two_calls_are_served(
    gateway: HostGateway,
    provider: Provider,
    session: aiohttp.ClientSession,
    method: str,
    path: str,
    status: int,
) -> None:
    url = gateway.access("k3f9ab", API).model_base_url + path
    async with session.request(method, url, headers=bearer(gateway)) as answer:
        assert answer.status == status
    assert provider.requests == []


async def test_a_body_beyond_the_cap_is_refused_whether_it_says_so_or_not(
    gateway: HostGateway, provider: Provider, session: aiohttp.ClientSession
) -> None:
    provider.chat = echo
    megabyte = b"x" * 2**20

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield megabyte

    for body in (io.BytesIO(megabyte * 9), endless()):
        try:
            async with session.post(chat_url(gateway), data=body, headers=bearer(gateway)) as got:
                assert got.status == 413
        except aiohttp.ClientConnectionError:
            pass  # cut while it was still sending
    async with session.post(chat_url(gateway), json=ASKED, headers=bearer(gateway)) as answer:
        assert answer.status == 200


async def test_a_large_body_is_read_in_a_thread_of_its_own(
    gateway: HostGateway,
    provider: Provider,
    session: aiohttp.ClientSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readers: list[threading.Thread] = []

    def read_and_note(body: bytes, allowed: Sequence[str]) -> ChatCall:
        readers.append(threading.current_thread())
        return read_chat(body, allowed)

    monkeypatch.setattr("bot.gateway.model.proxy.read_chat", read_and_note)
    provider.chat = echo
    messages = [{"role": "user", "content": "hello" * 100_000}]
    for body in (ASKED, ASKED | {"messages": messages}):
        async with session.post(chat_url(gateway), json=body, headers=bearer(gateway)) as answer:
            assert (await answer.json())["got"]["messages"] == body["messages"]
    assert [reader is threading.current_thread() for reader in readers] == [True, False]


@pytest.mark.parametrize("piece", ["[],", "[", '{"a":', '"",'])
async def test_a_body_of_very_many_or_deep_values_is_refused_unread(
    gateway: HostGateway, provider: Provider, session: aiohttp.ClientSession, piece: str
) -> None:
    body = io.BytesIO(('{"model": "m", "messages": [' + piece * 500_000).encode())
    async with session.post(chat_url(gateway), data=body, headers=bearer(gateway)) as answer:
        assert answer.status == 400
        assert "costs too much" in (await answer.json())["error"]["message"]
    assert not provider.chats


async def test_a_redirect_is_not_followed_with_the_key(
    gateway: HostGateway, provider: Provider, session: aiohttp.ClientSession
) -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": provider.url + "/stolen"})

    provider.chat = elsewhere
    async with session.post(
        chat_url(gateway), json=ASKED, headers=bearer(gateway), allow_redirects=False
    ) as answer:
        assert answer.status == 307
        assert "Location" not in answer.headers
    assert len(provider.chats) == 1


async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(
    gateway: HostGateway, provider: Provider, session: aiohttp.ClientSession
) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        assert request.transport is not None
        request.transport.abort()
        return response

    provider.chat = broken
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientConnectionError)):
        async with session.post(chat_url(gateway), json=ASKED, headers=bearer(gateway)) as answer:
            await answer.read()


async def test_when_the_container_leaves_the_call_to_the_provider_ends(
    gateway: HostGateway, provider: Provider, session: aiohttp.ClientSession
) -> None:
    ended = asyncio.Event()

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b": waiting\n\n" * 1_000)
                await asyncio.sleep(0)
        except ConnectionError:
            ended.set()
            raise

    provider.chat = endless
    async with session.post(chat_url(gateway), json=ASKED, headers=bearer(gateway)) as answer:
        await answer.content.readline()
        answer.close()
    await asyncio.wait_for(ended.wait(), 5)


async def test_an_unreachable_provider_is_a_502_and_no_secret_is_logged(
    settings: Settings,
    gateway: HostGateway,
    session: aiohttp.ClientSession,
    tmp_path_factory: pytest.TempPathFactory,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    nowhere = settings.model_copy(update={"openrouter_base_url": "http://127.0.0.1:1"})
    other = HostGateway(nowhere, tmp_path_factory.mktemp("data"), session)
    await other.start("127.0.0.1")
    try:
        await other.open("k3f9ab", API)
        token = bearer(other)
        body = ASKED | {"messages": [{"role": "user", "content": "canary-prompt"}]}
        async with session.post(chat_url(other), json=body, headers=token) as answer:
            assert answer.status == 502
            assert (await answer.json())["error"]["code"] == 502
    finally:
        await other.stop()
    assert "did not answer" in caplog.text
    for secret in (MODEL_KEY, "canary-prompt", token["Authorization"].split()[1]):
        assert secret not in caplog.text


async def test_the_list_of_models_passes(
    gateway: HostGateway, provider: Provider, session: aiohttp.ClientSession
) -> None:
    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "m"}]})

    provider.models = models
    url = gateway.access("k3f9ab", API).model_base_url + "/models"
    async with session.get(url, headers=bearer(gateway)) as answer:
        assert json.loads(await answer.read()) == {"data": [{"id": "m"}]}
