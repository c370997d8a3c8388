"""What is remembered of a git host's repositories: where the last used ones are."""

import aiohttp
import pytest
from pydantic import SecretStr

from bot.domain.agent import RepoRef
from bot.gateway.git.host import GitHost
from tests.integration.gateway.conftest import GIT_TOKEN, GitServer

NAMES = ("api", "web", "docs")


async def test_the_addresses_used_last_are_kept_and_others_looked_up_again(
    git_server: GitServer, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.gateway.git.host.MOST_BASES", 2)

    async def token_of(_repo: RepoRef) -> SecretStr:
        return SecretStr(GIT_TOKEN)

    host = GitHost(session, git_server.url, token_of)
    for name in NAMES:
        git_server.repository(f"acme/new-{name}.git", "main")
        git_server.moved[f"/acme/{name}.git"] = f"/acme/new-{name}.git"

    async def base_after_refs(name: str) -> str:
        repo = RepoRef("acme", name)
        async with host.open_refs(repo, {}) as answer:
            assert answer.status == 200
        return host.base(repo)

    for name in NAMES:
        assert await base_after_refs(name) == f"{git_server.url}/acme/new-{name}.git"
    assert len(host._bases) == 2
    assert host.base(RepoRef("acme", "api")) == f"{git_server.url}/acme/api.git"
    assert await base_after_refs("api") == f"{git_server.url}/acme/new-api.git"
