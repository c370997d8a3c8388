"""Decides which agents may pass, to which repository, and which branch each may push.

The tokens are derived from one secret on the disk, so nothing else needs storing.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from pydantic import SecretStr

from bot.domain.agent import Agent, RepoRef
from bot.errors import ConfigurationError
from bot.files import create_private_file

_SECRET_BYTES = 32
_PREFIX = "agt_"
_MAX_TOKEN_CHARS = 200

# Reads an agent as it is stored; None for an unknown id.
ReadAgent = Callable[[str], Awaitable[Agent | None]]


class Tokens:
    """Derives two tokens per agent: one for the gateway, one for the agent's bridge."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def gateway_token(self, agent_id: str) -> SecretStr:
        """Returns the token that the container shows at the gateway; it names its agent."""
        return SecretStr(f"{_PREFIX}{agent_id}.{self._mac('gateway', agent_id)}")

    def bridge_token(self, agent_id: str) -> SecretStr:
        """Returns the token that the bot shows at the agent's bridge."""
        return SecretStr(self._mac("bridge", agent_id))

    def agent_of(self, token: str) -> str | None:
        """Returns the agent of a genuine gateway token; None for any other text."""
        if len(token) > _MAX_TOKEN_CHARS or not token.startswith(_PREFIX) or not token.isascii():
            return None
        agent_id, _, mac = token.removeprefix(_PREFIX).rpartition(".")
        good = hmac.compare_digest(mac, self._mac("gateway", agent_id))
        return agent_id if agent_id and good else None

    def _mac(self, purpose: str, agent_id: str) -> str:
        message = f"{purpose}:{agent_id}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()


def load_tokens(data_dir: Path) -> Tokens:
    """Reads DATA_DIR/secret, made once with mode 0600; raises ConfigurationError."""
    path = data_dir / "secret"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        create_private_file(path, secrets.token_bytes(_SECRET_BYTES))
        secret = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(
            f"DATA_DIR: {path} cannot be read or made ({error.strerror}). Make the directory "
            "writable for the bot, or name another one."
        ) from error
    if len(secret) != _SECRET_BYTES:
        raise ConfigurationError(
            f"{path} is damaged: it holds {len(secret)} bytes instead of {_SECRET_BYTES}. Restore "
            "it, or remove it; the agents that run now must then be started anew."
        )
    return Tokens(secret)


class GatewayAuth:
    """Admits the agents that are registered; a genuine token alone is not enough."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._repos: dict[str, RepoRef] = {}
        self.read_agent: ReadAgent | None = None

    def admit_agent(self, agent_id: str, repo: RepoRef) -> None:
        """Admits requests of this agent, for this repository."""
        self._repos[agent_id] = repo

    def dismiss_agent(self, agent_id: str) -> None:
        """Refuses requests of this agent from now on."""
        self._repos.pop(agent_id, None)

    def identify_agent(
        self, authorization: str, owner: str | None = None
    ) -> tuple[str, RepoRef] | None:
        """Returns the agent behind an Authorization header, and its repository, if it is admitted.

        `owner` is the agent whose own listener the request came by; no other agent's token is
        accepted there.
        """
        agent_id = self._tokens.agent_of(_read_token(authorization))
        repo = self._repos.get(agent_id) if agent_id else None
        if owner is not None and owner != agent_id:
            return None
        return (agent_id, repo) if agent_id and repo else None

    def agent_of(self, token: str) -> str | None:
        """Returns the agent of a genuine token, if it is admitted."""
        agent_id = self._tokens.agent_of(token)
        return agent_id if agent_id in self._repos else None

    async def branch_of(self, agent_id: str) -> str | None:
        """Returns the branch that the agent may push; None once it has ended or is not admitted.

        The stored agent is read each time, because one that failed stays admitted until it is
        removed.
        """
        if self.read_agent is None or agent_id not in self._repos:
            return None
        agent = await self.read_agent(agent_id)
        return agent.target_branch if agent and agent.alive else None

    @property
    def admitted_agents(self) -> tuple[str, ...]:
        """Returns the agents that are admitted."""
        return tuple(self._repos)


def _read_token(authorization: str) -> str:
    """Reads `Bearer TOKEN`, or `Basic` with the token as the password, which git sends."""
    scheme, _, value = authorization.partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip()
        case "basic":
            try:
                text = base64.b64decode(value.strip(), validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                return ""
            return text.partition(":")[2]
        case _:
            return ""


def ambiguity_of(request: web.Request) -> str | None:
    """Returns why two servers might understand this request differently; None if they agree."""
    headers = request.headers
    lengths = headers.getall("Content-Length", [])
    codings = headers.getall("Transfer-Encoding", [])
    if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
        return "The length of the body is given twice."
    if codings and codings[0].strip().lower() != "chunked":
        return "This transfer coding is not understood."
    if "Upgrade" in headers:
        return "The protocol cannot be changed here."
    path = request.raw_path.partition("?")[0]
    if "%" in path or "//" in path or "\\" in path or ";" in path or "/." in path:
        return "The path is not written plainly."
    return None
