"""Credentials that people have stored are used in place of the deployment's own, from then on."""

import asyncio
from pathlib import Path

import aiohttp
from aiohttp import web
from pydantic import SecretStr

from bot.domain.agent import (
    RepoRef,
    SecretScope,
)
from bot.domain.secrets import ModelKey
from bot.gateway.server import HostGateway
from tests.fakes import FakeCredentials
from tests.harness.git import run_git
from tests.integration.gateway.bench import GatewayBench
from tests.integration.gateway.conftest import (
    API,
    GIT_TOKEN,
    MODEL_KEY,
    GitServer,
    Provider,
)
from tests.integration.gateway.test_git_proxy import url_with_token
from tests.integration.gateway.test_model_proxy import bearer, chat_url, echo


async def test_a_stored_model_key_counts_from_the_next_call_on_and_for_its_agent_alone(
    gateway: HostGateway, provider: Provider, session: aiohttp.ClientSession
) -> None:
    provider.chat = echo
    gateway.credentials = stored = FakeCredentials()
    await gateway.open("p7qdxy", API)

    async def key_used(agent_id: str) -> str:
        headers = bearer(gateway, agent_id)
        body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        async with session.post(chat_url(gateway), json=body, headers=headers) as answer:
            assert answer.status == 200
        return provider.requests[-1].headers["Authorization"]

    assert await key_used("k3f9ab") == f"Bearer {MODEL_KEY}"
    stored.keys["k3f9ab"] = ModelKey(SecretStr("canary-of-a-person"), SecretScope.USER)
    assert await key_used("k3f9ab") == "Bearer canary-of-a-person"
    assert await key_used("p7qdxy") == f"Bearer {MODEL_KEY}"
    stored.keys.clear()
    assert await key_used("k3f9ab") == f"Bearer {MODEL_KEY}"


async def test_a_stored_git_token_opens_its_repository_for_the_check_and_for_the_clone(
    gateway: HostGateway, git_server: GitServer, tmp_path: Path
) -> None:
    git_server.repository("acme/api.git", "main")
    gateway.credentials = FakeCredentials(
        tokens={RepoRef("acme", "web"): SecretStr("canary-of-web")}
    )
    assert await gateway.check_repository(API, None) == "main"
    git_server.token = "canary-of-api"
    gateway.credentials = FakeCredentials(tokens={API: SecretStr("canary-of-api")})
    assert await gateway.check_repository(API, None) == "main"
    target = tmp_path / "clone"
    await asyncio.to_thread(run_git, tmp_path, "clone", url_with_token(gateway), str(target))
    config = (target / ".git" / "config").read_text()
    assert "canary-of-api" not in config
    assert GIT_TOKEN not in config


async def test_whose_key_pays_is_in_the_ledger_and_with_the_agent(
    bench: GatewayBench, provider: Provider
) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.json_response({"choices": [], "usage": {"cost": 0.01}})

    provider.chat = answer
    stored = FakeCredentials(
        {"k3f9ab": ModelKey(SecretStr("canary-of-a-person"), SecretScope.USER)}
    )
    assert bench.gateway
    bench.gateway.credentials = stored
    await bench.agent()
    assert (await bench.ask())[0] == 200
    stored.keys.clear()
    assert (await bench.ask())[0] == 200
    lines = await bench.store.usage_rows.lines("T1", since=0, limit=10)
    assert [line.paid_by for line in lines] == [SecretScope.USER, SecretScope.DEPLOYMENT]
    agent = await bench.store.agent("k3f9ab")
    assert agent
    assert agent.paid_by is SecretScope.DEPLOYMENT
