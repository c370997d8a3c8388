"""Checks of the pull requests, the credentials, shared files and texts by a model."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from bot.agents.context import FetchFile
from bot.agents.ports.people import Credentials, PullRequestHost
from bot.agents.publishing import WriteCompletion
from bot.domain.agent import Agent, RepoRef
from bot.domain.pull_request import PullState
from bot.errors import FileUnavailable


class PullRequestHostContract:
    """Fixtures: `pulls`, and `repo` with a `branch` that is one commit ahead of main."""

    async def test_a_pull_request_is_found_once_it_is_opened(
        self, pulls: PullRequestHost, repo: RepoRef, branch: str
    ) -> None:
        assert await pulls.find(repo, branch) is None
        opened = await pulls.create(repo, branch, "main", "Add a test", "Why: it was missing.")
        assert opened.state is PullState.OPEN
        assert opened.url.startswith("http")
        assert await pulls.find(repo, branch) == opened
        assert await pulls.find(repo, "agent/other") is None

    def test_pages_name_the_repository_and_the_branch(
        self, pulls: PullRequestHost, repo: RepoRef, branch: str
    ) -> None:
        for page in (pulls.branch_url(repo, branch), pulls.compare_url(repo, branch, "main")):
            assert page.startswith("http")
            assert str(repo) in page
            assert branch.rpartition("/")[2] in page


@dataclass
class CredentialsBench:
    """Stored credentials, to which a test adds; `agent` and `other` are of two people."""

    credentials: Credentials
    agent: Agent
    other: Agent
    store_key: Callable[[Agent, str], Awaitable[None]]
    store_token: Callable[[RepoRef, str], Awaitable[None]]
    remove_all: Callable[[], Awaitable[None]]

    async def key_of(self, agent_id: str) -> str | None:
        """The key in clear."""
        key = await self.credentials.model_key(agent_id)
        return key.value.get_secret_value() if key else None

    async def token_of(self, repo: RepoRef) -> str | None:
        """The token in clear."""
        token = await self.credentials.git_token(repo)
        return token.get_secret_value() if token else None


class CredentialsContract:
    """Fixture: `credentials_bench`."""

    async def test_a_model_key_counts_for_the_agents_of_its_person_until_it_is_removed(
        self, credentials_bench: CredentialsBench
    ) -> None:
        bench = credentials_bench
        assert await bench.key_of(bench.agent.id) is None
        await bench.store_key(bench.agent, "canary-of-a-person")
        assert await bench.key_of(bench.agent.id) == "canary-of-a-person"
        assert await bench.key_of(bench.other.id) is None
        assert await bench.key_of("never") is None
        await bench.remove_all()
        assert await bench.key_of(bench.agent.id) is None

    async def test_a_git_token_counts_for_its_repository_however_that_is_spelled(
        self, credentials_bench: CredentialsBench
    ) -> None:
        bench = credentials_bench
        assert await bench.token_of(RepoRef("acme", "api")) is None
        await bench.store_token(RepoRef("acme", "api"), "canary-of-api")
        assert await bench.token_of(RepoRef("acme", "api")) == "canary-of-api"
        assert await bench.token_of(RepoRef("Acme", "API")) == "canary-of-api"
        assert await bench.token_of(RepoRef("acme", "web")) is None
        await bench.remove_all()
        assert await bench.token_of(RepoRef("acme", "api")) is None


@dataclass
class FetchBench:
    """The shared files; `share` returns the id of a new one."""

    fetch: FetchFile
    share: Callable[[bytes], Awaitable[str]]


class FetchFileContract:
    """Fixture: `fetch_bench`."""

    async def test_a_shared_file_is_fetched_up_to_the_limit(self, fetch_bench: FetchBench) -> None:
        file_id = await fetch_bench.share(b"x" * 10)
        assert await fetch_bench.fetch(file_id, 10) == b"x" * 10

    async def test_a_file_beyond_the_limit_or_not_shared_is_refused_with_words(
        self, fetch_bench: FetchBench
    ) -> None:
        for file_id in (await fetch_bench.share(b"x" * 11), "F404"):
            with pytest.raises(FileUnavailable) as caught:
                await fetch_bench.fetch(file_id, 10)
            assert caught.value.user_text


@dataclass
class WriteBench:
    """A model that writes for `agent` what the test says; None: it has no answer."""

    write: WriteCompletion
    agent: Agent
    answer: Callable[[str | None], None]


class WriteCompletionContract:
    """Fixture: `write_bench`."""

    async def test_the_models_text_or_none(self, write_bench: WriteBench) -> None:
        for text, written in (("Sort orders", "Sort orders"), ("", ""), (None, "")):
            write_bench.answer(text)
            assert await write_bench.write(write_bench.agent, "write", "the diff") == written
