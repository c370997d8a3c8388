"""The stored secrets keep the contract of the Credentials port, on a real database."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.agents.access.encryption import Cipher
from bot.agents.access.secrets import Secrets, repository_owner
from bot.domain.agent import Agent, RepoRef, SecretScope
from bot.domain.secrets import SecretKind, SecretRef
from bot.redaction import Redactor
from tests.contracts.people import CredentialsBench, CredentialsContract
from tests.harness.app import CIPHER_KEY, open_store, plain_agent


class TestSecrets(CredentialsContract):
    @pytest.fixture
    async def credentials_bench(self, tmp_path: Path) -> AsyncIterator[CredentialsBench]:
        store = await open_store(tmp_path)
        secrets = Secrets(store, Cipher([CIPHER_KEY]), Redactor(), lambda: 1.0)
        agent, other = plain_agent("a1", "UANA"), plain_agent("a2", "UBEN")
        async with store.transaction() as tx:
            for stored in (agent, other):
                await tx.add_agent(stored)

        async def put(ref: SecretRef, value: str) -> None:
            await secrets.put(ref, secrets.seal(value), "UANA", exposed=False)

        async def store_key(owner: Agent, value: str) -> None:
            ref = SecretRef("T1", SecretScope.USER, owner.started_by, SecretKind.MODEL_KEY)
            await put(ref, value)

        async def store_token(repo: RepoRef, value: str) -> None:
            owner = repository_owner(repo)
            await put(SecretRef("T1", SecretScope.REPOSITORY, owner, SecretKind.GIT_TOKEN), value)

        async def remove_all() -> None:
            for entry in secrets.entries("T1"):
                await secrets.remove(entry.ref, "UANA")

        yield CredentialsBench(secrets, agent, other, store_key, store_token, remove_all)
        await store.close()
