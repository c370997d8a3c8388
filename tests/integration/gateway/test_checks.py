"""What is asked of the git host and the provider before anything is started."""

import asyncio
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.config import Settings
from bot.domain.agent import RepoRef
from bot.errors import ModelUnusable, RepositoryError
from bot.gateway.model.catalogue import CACHE_SECONDS, Catalogue
from bot.gateway.server import HostGateway
from tests.harness.git import run_git
from tests.integration.gateway.conftest import API, GIT_TOKEN, MODEL_KEY, GitServer, Provider


@pytest.mark.parametrize("protocol", ["version=2", "version=1", ""])
async def test_the_default_branch_is_what_head_points_at(
    gateway: HostGateway, git_server: GitServer, protocol: str
) -> None:
    git_server.protocol = protocol
    git_server.repository("acme/api.git", "trunk", "main", "feature/a")
    assert await gateway.check_repository(API, None) == "trunk"
    assert await gateway.check_repository(API, "feature/a") == "feature/a"


async def test_a_missing_branch_names_its_neighbours(
    gateway: HostGateway, git_server: GitServer
) -> None:
    git_server.repository("acme/api.git", "main", "release-1", "release-2", "zzz")
    with pytest.raises(RepositoryError) as caught:
        await gateway.check_repository(API, "relaese-1")
    assert "no branch `relaese-1`" in caught.value.user_text
    assert "`release-1` or `release-2`" in caught.value.user_text
    assert "Nothing was started" in caught.value.user_text
    with pytest.raises(RepositoryError, match="Did you mean `main`"):
        await gateway.check_repository(API, "qqqqqq")


async def test_an_unknown_repository_reads_as_in_the_thread(gateway: HostGateway) -> None:
    with pytest.raises(RepositoryError) as caught:
        await gateway.check_repository(RepoRef("acme", "apx"), None)
    assert caught.value.user_text == (
        "Could not clone `acme/apx`: not found, or the bot's GitHub token has no access. Check the "
        "name, or ask an admin to add it. Nothing was started."
    )


@pytest.mark.parametrize("protocol", ["version=2", ""])
async def test_an_empty_repository_is_named_as_such(
    gateway: HostGateway, git_server: GitServer, protocol: str
) -> None:
    git_server.protocol = protocol
    git_server.repository("acme/api.git")
    for branch in (None, "main"):
        with pytest.raises(RepositoryError, match="is empty"):
            await gateway.check_repository(API, branch)


@pytest.mark.parametrize("protocol", ["version=2", ""])
async def test_a_head_that_points_nowhere_asks_for_a_branch(
    gateway: HostGateway, git_server: GitServer, protocol: str
) -> None:
    git_server.protocol = protocol
    bare = git_server.repository("acme/api.git", "main")
    run_git(bare, "symbolic-ref", "HEAD", "refs/heads/gone")
    with pytest.raises(RepositoryError, match="acme/api@main"):
        await gateway.check_repository(API, None)


async def test_a_renamed_repository_is_found(gateway: HostGateway, git_server: GitServer) -> None:
    git_server.repository("acme/renamed.git", "main")
    git_server.moved["/acme/api.git"] = "/acme/renamed.git"
    assert await gateway.check_repository(API, None) == "main"


async def test_a_host_that_is_away_is_named_and_the_token_is_not(
    settings: Settings, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    away = settings.model_copy(update={"github_url": "http://127.0.0.1:1"})
    with pytest.raises(RepositoryError) as caught:
        await HostGateway(away, tmp_path, session).check_repository(API, None)
    assert "http://127.0.0.1:1 does not answer" in caught.value.user_text
    assert GIT_TOKEN not in str(caught.value) + caught.value.user_text


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>", "not found"),
        (503, b"", "has a problem"),
        (200, b"zzzz", "like a git server"),
        (200, b"ffff", "like a git server"),
        (200, b"001e# service=git-upload-pack\n0000000fversion 2\n000", "like a git server"),
        (200, b"", "is empty"),
    ],
)
async def test_nonsense_of_a_git_host_is_a_clear_error(
    settings: Settings,
    session: aiohttp.ClientSession,
    tmp_path: Path,
    provider: Provider,
    status: int,
    body: bytes,
    words: str,
) -> None:
    kind = "text/html" if body == b"<html>" else "application/x-git-upload-pack-advertisement"

    async def nonsense(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, content_type=kind)

    provider.models = nonsense
    wrong = settings.model_copy(update={"github_url": provider.url})
    with pytest.raises(RepositoryError) as caught:
        await HostGateway(wrong, tmp_path, session).check_repository(API, None)
    assert words in caught.value.user_text


def listing(provider: Provider, status: int, body: object) -> None:
    async def models(_: web.Request) -> web.Response:
        return web.json_response(body, status=status)

    provider.models = models


MODELS = {
    "data": [
        {"id": "anthropic/claude-3.5-sonnet", "supported_parameters": ["tools", "top_p"]},
        {"id": "anthropic/claude-3-opus", "supported_parameters": ["tools"]},
        {"id": "acme/poet", "supported_parameters": ["top_p"]},
        {"id": "acme/silent"},
    ]
}


@pytest.mark.parametrize(
    "model",
    [
        "anthropic/claude-3.5-sonnet",
        "anthropic/claude-3.5-sonnet:nitro",
        "acme/silent",
        "@preset/x",
    ],
)
async def test_models_that_may_work_are_accepted(
    gateway: HostGateway, provider: Provider, model: str
) -> None:
    listing(provider, 200, MODELS)
    await gateway.check_model(model)


async def test_an_unknown_model_names_its_neighbours(
    gateway: HostGateway, provider: Provider
) -> None:
    listing(provider, 200, MODELS)
    with pytest.raises(ModelUnusable, match=r"Did you mean `anthropic/claude-3\.5-sonnet`"):
        await gateway.check_model("anthropic/claude-3.5-sonet")
    with pytest.raises(ModelUnusable, match=r"no model `x`\.$"):
        await gateway.check_model("x")


async def test_a_model_without_tools_is_refused(gateway: HostGateway, provider: Provider) -> None:
    listing(provider, 200, MODELS)
    with pytest.raises(ModelUnusable, match="cannot call tools"):
        await gateway.check_model("acme/poet")


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, {}), (500, {}), (200, []), (200, {"data": "x"}), (200, {"data": []}), (200, "html")],
)
async def test_a_provider_without_a_list_is_believed(
    gateway: HostGateway, provider: Provider, status: int, body: object
) -> None:
    listing(provider, status, body)
    await gateway.check_model("anything")


async def test_a_refused_key_is_named(gateway: HostGateway, provider: Provider) -> None:
    listing(provider, 401, {})
    with pytest.raises(ModelUnusable) as caught:
        await gateway.check_model("m")
    assert caught.value.user_text == (
        "The model key was refused. Ask an admin to check OPENROUTER_API_KEY."
    )


async def test_a_provider_that_is_away_is_an_error_and_is_asked_again(
    session: aiohttp.ClientSession,
) -> None:
    catalogue = Catalogue(session, "http://127.0.0.1:1", SecretStr(MODEL_KEY))
    for _ in range(2):
        with pytest.raises(ModelUnusable, match=r"does not answer|127\.0\.0\.1"):
            await catalogue.check_model("m")


async def test_the_list_is_asked_for_once_in_ten_minutes(
    session: aiohttp.ClientSession, provider: Provider
) -> None:
    now = 0.0
    listing(provider, 200, MODELS)
    catalogue = Catalogue(session, provider.url, SecretStr(MODEL_KEY), clock=lambda: now)
    for now in (0.0, CACHE_SECONDS - 1):  # noqa: B007  (the clock reads it)
        await catalogue.check_model("acme/silent")
    assert len(provider.requests) == 1
    now = CACHE_SECONDS
    await catalogue.check_model("acme/silent")
    assert len(provider.requests) == 2
    assert provider.requests[0].headers["Authorization"] == f"Bearer {MODEL_KEY}"


async def test_many_checks_at_once_wait_for_a_slow_refusal_once(
    session: aiohttp.ClientSession, provider: Provider
) -> None:
    go_on = asyncio.Event()

    async def refuse_late(request: web.BaseRequest) -> web.StreamResponse:
        await go_on.wait()
        return web.json_response({}, status=401)

    provider.models = refuse_late
    catalogue = Catalogue(session, provider.url, SecretStr(MODEL_KEY))
    checks = [asyncio.create_task(catalogue.check_model("m")) for _ in range(5)]
    while not provider.requests:
        await asyncio.wait(checks, timeout=0.01)
    go_on.set()
    results = await asyncio.gather(*checks, return_exceptions=True)
    assert all(isinstance(result, ModelUnusable) for result in results)
    assert len(provider.requests) == 1
