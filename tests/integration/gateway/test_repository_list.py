"""The list of repositories, asked of a local API that pages as GitHub's does."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.gateway.git.github import (
    CACHE_SECONDS,
    SILENT_SECONDS,
    GithubClient,
    RepositoryList,
)
from playground.free_port import listening

TOKEN = "canary-token"


@dataclass
class Api:
    names: list[str] = field(default_factory=list)
    status: int = 200
    body: bytes | None = None
    asked: list[str] = field(default_factory=list)
    now: float = 0.0
    listed: RepositoryList = field(init=False)

    async def answer(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        self.asked.append(request.query_string)
        if self.body is not None:
            return web.Response(body=self.body, status=self.status)
        page, size = int(request.query["page"]), int(request.query["per_page"])
        shown = self.names[(page - 1) * size : page * size]
        return web.json_response([{"full_name": name, "id": 1} for name in shown])


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api = Api()
    app = web.Application()
    app.router.add_get("/user/repos", api.answer)
    async with (
        listening(app, "127.0.0.1", (0,)) as url,
        aiohttp.ClientSession() as session,
    ):
        api.listed = RepositoryList(GithubClient(session, url), SecretStr(TOKEN), lambda: api.now)
        yield api


async def test_all_pages_are_read_once_in_five_minutes(api: Api) -> None:
    api.names = [f"acme/r{number}" for number in range(150)]
    for _ in range(2):
        assert list(await api.listed.names()) == api.names
    assert len(api.asked) == 2
    api.now += CACHE_SECONDS
    await api.listed.names()
    assert len(api.asked) == 4


async def test_it_ends_after_five_pages_and_leaves_out_what_is_no_name(api: Api) -> None:
    api.names = ["../x", "acme/<!channel>"] + [f"acme/r{number}" for number in range(900)]
    names = await api.listed.names()
    assert len(names) == 498
    assert len(api.asked) == 5


@pytest.mark.parametrize(
    ("status", "body"),
    [(401, b"{}"), (500, b""), (302, b""), (200, b"<html>"), (200, b'{"a": 1}'), (200, b"[1]")],
)
async def test_a_host_that_does_not_tell_is_asked_again_later(
    api: Api, status: int, body: bytes
) -> None:
    api.names = ["acme/api"]
    assert await api.listed.names() == ["acme/api"]
    api.now, api.status, api.body = CACHE_SECONDS, status, body
    for _ in range(3):
        assert await api.listed.names() == ["acme/api"]
    assert len(api.asked) == 2
    api.now, api.body, api.names = CACHE_SECONDS + SILENT_SECONDS, None, ["acme/web"]
    assert await api.listed.names() == ["acme/web"]


async def test_without_a_token_nobody_is_asked(api: Api) -> None:
    async with aiohttp.ClientSession() as session:
        listed = RepositoryList(GithubClient(session, "http://127.0.0.1:1"), SecretStr(""))
        assert not listed.is_available
        assert not await listed.names()
