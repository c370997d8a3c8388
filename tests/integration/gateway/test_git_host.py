"""What is remembered of a git host's repositories: where the last used ones are."""

import threading

import aiohttp
import pytest
from pydantic import SecretStr

from bot.domain.agent import RepoRef
from bot.errors import RepositoryError
from bot.gateway.git.host import GitHost, chosen_branch
from bot.gateway.git.pkt_line import Refs
from tests.integration.gateway.conftest import GIT_TOKEN, GitServer

NAMES = ("api", "web", "docs")


async def token_of(_repo: RepoRef) -> SecretStr:
    return SecretStr(GIT_TOKEN)


async def test_the_addresses_used_last_are_kept_and_others_looked_up_again(
    git_server: GitServer, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.gateway.git.host.MOST_BASES", 2)

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


async def test_a_branch_is_looked_for_in_a_thread_of_its_own(
    git_server: GitServer, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: list[threading.Thread] = []

    def choose_and_note(repo: RepoRef, branch: str | None, refs: Refs) -> str:
        readers.append(threading.current_thread())
        return chosen_branch(repo, branch, refs)

    monkeypatch.setattr("bot.gateway.git.host.chosen_branch", choose_and_note)
    git_server.repository("acme/api.git", "main")
    host = GitHost(session, git_server.url, token_of)
    assert await host.choose_branch(RepoRef("acme", "api"), None) == "main"
    with pytest.raises(RepositoryError, match=r"Did you mean `main`\?"):
        await host.choose_branch(RepoRef("acme", "api"), "mian")
    assert len(readers) == 2
    assert threading.current_thread() not in readers
