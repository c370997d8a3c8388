"""The client of the git host keeps the contract of its port, at the playground's API."""

import aiohttp
import pytest

from bot.domain.agent import RepoRef
from bot.gateway.git.github import HostPulls
from playground.git_server import GitServer
from tests.contracts.people import PullRequestHostContract
from tests.integration.gateway.test_github import (
    BRANCH,
    REPO,
    commit,
    host,
    pulls as client,
    session,
)

__all__ = ["host", "session"]


class TestHostPulls(PullRequestHostContract):
    @pytest.fixture
    async def pulls(self, session: aiohttp.ClientSession, host: GitServer) -> HostPulls:
        await commit(host)
        return client(session, host)

    @pytest.fixture
    def repo(self) -> RepoRef:
        return REPO

    @pytest.fixture
    def branch(self) -> str:
        return BRANCH
