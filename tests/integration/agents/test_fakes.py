"""The fakes keep the contracts of their ports."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.domain.agent import Agent, RepoRef
from bot.domain.container import (
    BridgeAddress,
    ContainerSpec,
)
from bot.errors import ChannelUnavailable, RepositoryError
from bridge.protocol import WorkspaceRequest
from tests.contracts import (
    BridgeBench,
    BridgeContract,
    GatewayContract,
    OutboxBench,
    OutboxContract,
    PullRequestHostContract,
    RuntimeContract,
)
from tests.fakes import FakeGateway, FakeOutbox, FakePulls, FakeRuntime, ScriptedBridge
from tests.harness.app import REPO, open_store, spec as a_spec
from tests.harness.waiting import Changes


class TestFakeRuntime(RuntimeContract):
    @pytest.fixture
    def runtime(self) -> FakeRuntime:
        return FakeRuntime(Changes())

    @pytest.fixture
    def spec(self) -> ContainerSpec:
        return a_spec("k3f9ab")


class TestFakeGateway(GatewayContract):
    @pytest.fixture
    def gateway(self) -> FakeGateway:
        return FakeGateway()

    @pytest.fixture
    def repo(self) -> RepoRef:
        return REPO

    @pytest.fixture
    def missing(self, gateway: FakeGateway) -> RepoRef:
        gateway.repository_error = RepositoryError("Not found.")
        return RepoRef("acme", "apx")


class TestScriptedBridge(BridgeContract):
    @pytest.fixture
    def bench(self) -> BridgeBench:
        bridge = ScriptedBridge(Changes())
        bridge.unreachable.add("away")

        async def finish() -> None:
            bridge.finish("k3f9ab", "Done.")

        return BridgeBench(
            bridge,
            BridgeAddress("http://k3f9ab.invalid", SecretStr("canary")),
            WorkspaceRequest(
                repository="acme/api", clone_url="http://g.invalid/acme", target_branch="agent/x"
            ),
            finish,
        )

    @pytest.fixture
    def away(self) -> BridgeAddress:
        return BridgeAddress("http://away.invalid", SecretStr("canary"))


class TestFakeOutbox(OutboxContract):
    @pytest.fixture
    async def outbox_bench(self, tmp_path: Path) -> AsyncIterator[OutboxBench]:
        store = await open_store(tmp_path)
        outbox = FakeOutbox(store)
        agent = Agent("a1", "T1", "C1", None, REPO, None, "b", "t", "m", 15, "U", 1.0)
        async with store.transaction() as tx:
            await tx.add_agent(agent)

        def close_channel() -> None:
            outbox.refusal = ChannelUnavailable("I am not in this channel.")

        yield OutboxBench(outbox, store, agent, close_channel)
        await store.close()


class TestFakePulls(PullRequestHostContract):
    @pytest.fixture
    def pulls(self) -> FakePulls:
        return FakePulls()

    @pytest.fixture
    def repo(self) -> RepoRef:
        return REPO

    @pytest.fixture
    def branch(self) -> str:
        return "agent/k3f9ab-fix"
