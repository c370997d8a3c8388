"""Decides which agents may pass, to which repository, and which branch each may push."""

import base64
import binascii
from typing import Protocol

from bot.domain.agent import Agent, RepoRef
from bot.gateway.tokens import Tokens


class Agents(Protocol):
    """Where the agents are stored."""

    async def agent(self, agent_id: str) -> Agent | None:
        """Return the agent as stored."""


class GatewayAuth:
    """The open doors. A token that is genuine opens nothing while its door is closed."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._open: dict[str, RepoRef] = {}
        self.agents: Agents | None = None

    def open(self, agent_id: str, repo: RepoRef) -> None:
        """Let the agent's token through, for this repository."""
        self._open[agent_id] = repo

    def close(self, agent_id: str) -> None:
        """Let it through no more."""
        self._open.pop(agent_id, None)

    def admitted(
        self, authorization: str, entrance: str | None = None
    ) -> tuple[str, RepoRef] | None:
        """Return the agent behind an Authorization header, and its repository, if it may pass.

        `entrance`: whose entrance the request came by; no other agent's token is taken there.
        """
        agent_id = self._tokens.agent_of(_token_in(authorization))
        repo = self._open.get(agent_id) if agent_id else None
        if entrance is not None and entrance != agent_id:
            return None
        return (agent_id, repo) if agent_id and repo else None

    def agent_of(self, token: str) -> str | None:
        """The agent that a token was made for, if its door is open."""
        agent_id = self._tokens.agent_of(token)
        return agent_id if agent_id in self._open else None

    async def branch_of(self, agent_id: str) -> str | None:
        """The branch that the agent may push; None once it has ended or its door is closed.

        The stored agent is asked each time: one that failed keeps its door until it is removed.
        """
        if self.agents is None or agent_id not in self._open:
            return None
        agent = await self.agents.agent(agent_id)
        return agent.target_branch if agent and agent.alive else None

    @property
    def open_ones(self) -> tuple[str, ...]:
        """The agents whose door is open."""
        return tuple(self._open)


def _token_in(authorization: str) -> str:
    """Read `Bearer TOKEN`, or `Basic` with the token as the password, which git sends."""
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
