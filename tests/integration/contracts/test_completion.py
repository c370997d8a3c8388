"""The client of the agent's own model proxy keeps the contract of `WriteCompletion`."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web

from bot.gateway.model.completion_client import CompletionClient
from tests.contracts.people import WriteBench, WriteCompletionContract
from tests.integration.gateway.conftest import Serving, serving
from tests.integration.gateway.test_completion_client import access_by
from tests.unit.bot.domain.test_pull_request import AGENT

__all__ = ["serving"]


class TestCompletionClient(WriteCompletionContract):
    @pytest.fixture
    async def write_bench(self, serving: Serving) -> AsyncIterator[WriteBench]:
        answers: list[str | None] = [None]

        async def complete(_request: web.Request) -> web.Response:
            if answers[-1] is None:
                raise web.HTTPBadGateway
            return web.json_response({"choices": [{"message": {"content": answers[-1]}}]})

        app = web.Application()
        app.router.add_post("/v1/chat/completions", complete)
        url = await serving.start(app)
        async with aiohttp.ClientSession() as session:
            client = CompletionClient(session, access_by(url))
            yield WriteBench(client.write, AGENT, answers.append)
