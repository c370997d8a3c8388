"""The real gateway keeps the contract of its port."""

import pytest

from bot.domain.agent import RepoRef
from bot.gateway.server import HostGateway
from tests.contracts.sandbox import GatewayContract
from tests.integration.gateway.conftest import (
    API,
    GitServer,
    gateway as started,
    git_server,
    provider,
    serving,
    session,
    settings,
)

__all__ = ["git_server", "provider", "serving", "session", "settings", "started"]


class TestHostGateway(GatewayContract):
    @pytest.fixture
    def gateway(self, started: HostGateway) -> HostGateway:
        return started

    @pytest.fixture
    def repo(self, git_server: GitServer) -> RepoRef:
        git_server.repository(f"{API}.git", "main")
        return API

    @pytest.fixture
    def missing(self) -> RepoRef:
        return RepoRef("acme", "apx")
