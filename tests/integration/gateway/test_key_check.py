"""A person's model key is tried at a real provider's door before it is stored."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from bot.errors import ModelUnusable
from bot.gateway.model.key_check import KeyCheck
from playground.event_feed import EventFeed
from playground.model.server import ModelSettings, model_running

KEY = SecretStr("canary-key-of-a-person")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


async def test_openrouter_tells_a_good_key_from_a_bad_one(session: aiohttp.ClientSession) -> None:
    settings = ModelSettings(api_key=KEY.get_secret_value())
    async with model_running(settings, EventFeed()) as model:
        check = KeyCheck(session, model.url)
        await check.check_key(KEY)
        with pytest.raises(ModelUnusable, match=r"refuses this key \(401\)"):
            await check.check_key(SecretStr("canary-wrong"))


@pytest.mark.parametrize("status", [401, 403])
async def test_a_provider_without_that_route_is_asked_for_its_models(
    session: aiohttp.ClientSession, status: int
) -> None:
    async def models(request: web.Request) -> web.Response:
        good = request.headers["Authorization"] == f"Bearer {KEY.get_secret_value()}"
        return web.json_response({"data": []}, status=200 if good else status)

    app = web.Application()
    app.router.add_get("/models", models)
    async with TestServer(app) as server:
        check = KeyCheck(session, str(server.make_url("")).rstrip("/"))
        await check.check_key(KEY)
        with pytest.raises(ModelUnusable, match="refuses this key"):
            await check.check_key(SecretStr("canary-wrong"))


async def test_a_provider_that_is_away_or_knows_nothing(session: aiohttp.ClientSession) -> None:
    with pytest.raises(ModelUnusable) as caught:
        await KeyCheck(session, "http://127.0.0.1:1").check_key(KEY)
    assert "does not answer" in caught.value.user_text
    assert "canary" not in str(caught.value)
    async with TestServer(web.Application()) as server:
        await KeyCheck(session, str(server.make_url("")).rstrip("/")).check_key(KEY)


@pytest.mark.parametrize("value", ["two words", "line\nbreak", "é", "x\r\nX-Evil: 1"])
async def test_what_cannot_be_a_key_is_never_sent(
    session: aiohttp.ClientSession, value: str
) -> None:
    with pytest.raises(ModelUnusable, match="not a key"):
        await KeyCheck(session, "http://127.0.0.1:1").check_key(SecretStr(value))


async def test_a_silent_provider_is_given_up_before_slack_gives_up(
    session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.gateway.model.key_check._SECONDS", 0.1)

    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    app = web.Application()
    app.router.add_get("/key", silent)
    async with TestServer(app, handler_cancellation=True) as server:
        with pytest.raises(ModelUnusable) as caught:
            await KeyCheck(session, str(server.make_url("")).rstrip("/")).check_key(KEY)
    assert "does not answer" in caught.value.user_text
