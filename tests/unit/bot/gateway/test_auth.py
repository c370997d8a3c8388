"""The tokens of the agents and the secret they come from."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.domain.agent import Agent, AgentStatus, RepoRef
from bot.errors import ConfigurationError
from bot.gateway.auth import GatewayAuth, Tokens, load_tokens

TOKENS = Tokens(b"s" * 32)
REPO = RepoRef("acme", "api")
AGENT = Agent(
    id="k3f9ab",
    team="T1",
    channel="C1",
    thread_ts="1.1",
    repo=REPO,
    source_branch="main",
    target_branch="agent/k3f9ab",
    title="fix it",
    model="acme/model",
    max_steps=15,
    started_by="UANA",
    created_at=1.0,
    status=AgentStatus.WORKING,
)


def test_the_secret_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "data"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: load_tokens(data_dir), range(8)))
    assert len({tokens.gateway_token("a").get_secret_value() for tokens in made}) == 1
    assert stat.S_IMODE((data_dir / "secret").stat().st_mode) == 0o600
    assert [path.name for path in data_dir.iterdir()] == ["secret"]


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 33])
def test_a_damaged_secret_stops_the_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(ConfigurationError, match="damaged"):
        load_tokens(tmp_path)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="DATA_DIR"):
        load_tokens(tmp_path / "file" / "data")


def test_a_token_names_its_agent_and_nobody_else() -> None:
    token = TOKENS.gateway_token("k3f9ab").get_secret_value()
    assert TOKENS.agent_of(token) == "k3f9ab"
    assert Tokens(b"t" * 32).agent_of(token) is None
    assert TOKENS.agent_of(token.replace("k3f9ab", "p7qdab")) is None
    assert TOKENS.agent_of(token[:-1]) is None
    assert TOKENS.agent_of(token + "0") is None


def test_the_bridges_token_opens_no_gateway() -> None:
    token = TOKENS.bridge_token("k3f9ab").get_secret_value()
    assert TOKENS.agent_of(token) is None
    assert TOKENS.agent_of(f"agt_k3f9ab.{token}") is None


def test_basic_and_bearer_are_the_same_token() -> None:
    auth = GatewayAuth(TOKENS)
    auth.admit_agent("k3f9ab", REPO)
    token = TOKENS.gateway_token("k3f9ab").get_secret_value()
    basic = base64.b64encode(f"anyone:{token}".encode()).decode()
    assert auth.identify_agent(f"bearer {token}") == ("k3f9ab", REPO)
    assert auth.identify_agent(f"Basic {basic}") == ("k3f9ab", REPO)
    auth.dismiss_agent("k3f9ab")
    assert auth.identify_agent(f"Bearer {token}") is None


@dataclass
class Stored:
    """One agent, in a status."""

    agent_now: Agent

    async def agent(self, agent_id: str) -> Agent | None:
        """The agent, if it is this one."""
        return self.agent_now if agent_id == self.agent_now.id else None


async def test_an_agent_that_lives_may_push_its_branch_while_it_is_admitted() -> None:
    auth = GatewayAuth(TOKENS)
    auth.admit_agent(AGENT.id, REPO)
    assert await auth.branch_of(AGENT.id) is None  # nobody says which
    stored = Stored(AGENT)
    auth.read_agent = stored.agent
    assert await auth.branch_of(AGENT.id) == AGENT.target_branch
    auth.admit_agent("p7qdxy", REPO)
    assert await auth.branch_of("p7qdxy") is None
    stored.agent_now = AGENT.with_status(AgentStatus.FAILED, 5.0)
    assert await auth.branch_of(AGENT.id) is None
    stored.agent_now = AGENT
    auth.dismiss_agent(AGENT.id)
    assert await auth.branch_of(AGENT.id) is None
