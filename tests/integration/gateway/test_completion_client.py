"""A model call on an agent's budget: through the shared port, or through the agent's own socket."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.domain.agent import RepoRef
from bot.domain.container import (
    Access,
    SocketDirs,
)
from bot.gateway.model.completion_client import CompletionClient
from bridge.container import GATEWAY_SOCKET_NAME
from tests.integration.gateway.conftest import Serving
from tests.unit.bot.domain.test_pull_request import AGENT


def access_by(url: str, folders: SocketDirs | None = None) -> Callable[[str, RepoRef], Access]:
    def access_of(agent_id: str, repo: RepoRef) -> Access:
        return Access(f"{url}/v1", "", SecretStr(f"canary-{agent_id}"), folders=folders)

    return access_of


def app(status: int, answer: Any) -> web.Application:
    async def complete(request: web.Request) -> web.Response:
        body = await request.json()
        assert request.headers["Authorization"] == f"Bearer canary-{AGENT.id}"
        assert (body["model"], body["messages"][1]["content"]) == (AGENT.model, "the diff")
        return web.json_response(answer, status=status)

    made = web.Application()
    made.router.add_post("/v1/chat/completions", complete)
    return made


WORDS = {"choices": [{"message": {"content": "Sort orders"}}]}


@pytest.mark.parametrize(
    ("status", "answer", "written"),
    [
        (200, WORDS, "Sort orders"),
        (200, {"choices": [{"message": {"content": None}}]}, ""),
        (200, {"choices": []}, ""),
        (402, {"error": {"message": "The budget is used."}}, ""),
    ],
)
async def test_what_the_model_wrote_or_nothing(
    serving: Serving, status: int, answer: Any, written: str
) -> None:
    url = await serving.start(app(status, answer))
    async with aiohttp.ClientSession() as session:
        assert (
            await CompletionClient(session, access_by(url)).write(AGENT, "write", "the diff")
            == written
        )


async def test_a_sealed_agents_own_socket_and_one_that_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    folders = SocketDirs(folder, folder, 0)
    runner = web.AppRunner(app(200, WORDS))
    await runner.setup()
    # Bound where its address is short, and moved: a socket's address has room for 107 bytes.
    await web.UnixSite(runner, str(tmp_path / "s")).start()
    (tmp_path / "s").rename(folder / GATEWAY_SOCKET_NAME)
    async with aiohttp.ClientSession() as session:
        writer = CompletionClient(session, access_by("http://gateway.invalid", folders))
        assert await writer.write(AGENT, "write", "the diff") == "Sort orders"
        (folder / GATEWAY_SOCKET_NAME).unlink()
        assert await writer.write(AGENT, "write", "the diff") == ""
        folder.rmdir()
        assert await writer.write(AGENT, "write", "the diff") == ""
    await runner.cleanup()
