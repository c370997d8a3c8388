"""The fakes keep the contracts of their ports."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.domain.agent import Agent, RepoRef, SecretScope
from bot.domain.container import (
    BridgeAddress,
    ContainerSpec,
)
from bot.domain.secrets import ModelKey
from bot.errors import ChannelUnavailable, RepositoryError
from bridge.protocol import WorkspaceRequest
from tests.contracts.people import (
    CredentialsBench,
    CredentialsContract,
    FetchBench,
    FetchFileContract,
    PullRequestHostContract,
    WriteBench,
    WriteCompletionContract,
)
from tests.contracts.sandbox import BridgeBench, BridgeContract, GatewayContract, RuntimeContract
from tests.contracts.store import OutboxBench, OutboxContract
from tests.fakes import (
    FakeCredentials,
    FakeFiles,
    FakeGateway,
    FakeOutbox,
    FakePulls,
    FakeRuntime,
    FakeWriter,
    ScriptedBridge,
)
from tests.harness.app import REPO, open_store, plain_agent, spec as a_spec
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
        agent = plain_agent("a1")
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


class TestFakeCredentials(CredentialsContract):
    @pytest.fixture
    def credentials_bench(self) -> CredentialsBench:
        credentials = FakeCredentials()

        async def store_key(agent: Agent, value: str) -> None:
            credentials.keys[agent.id] = ModelKey(SecretStr(value), SecretScope.USER)

        async def store_token(repo: RepoRef, value: str) -> None:
            credentials.tokens[repo] = SecretStr(value)

        async def remove_all() -> None:
            credentials.keys.clear()
            credentials.tokens.clear()

        agent, other = plain_agent("a1", "UANA"), plain_agent("a2", "UBEN")
        return CredentialsBench(credentials, agent, other, store_key, store_token, remove_all)


class TestFakeFiles(FetchFileContract):
    @pytest.fixture
    def fetch_bench(self) -> FetchBench:
        files = FakeFiles()

        async def share(content: bytes) -> str:
            files.held["F1"] = content
            return "F1"

        return FetchBench(files.fetch, share)


class TestFakeWriter(WriteCompletionContract):
    @pytest.fixture
    def write_bench(self) -> WriteBench:
        writer = FakeWriter()

        def answer(text: str | None) -> None:
            writer.words = text or ""

        return WriteBench(writer.write, plain_agent("a1"), answer)
