"""What the rules need from the outside: people, stored secrets, and the record of who did what."""

from collections.abc import Sequence
from typing import Protocol

from pydantic import SecretStr

from bot.domain.agent import Agent, RepoRef
from bot.domain.limits import Load
from bot.domain.policy import (
    Audit,
    Person,
)
from bot.domain.secrets import ModelKey, SecretEntry, SecretRef


class RuleWrites(Protocol):
    """The part of a write transaction that rules rest on: nobody else decides meanwhile."""

    async def placed(self) -> int:
        """How many agents have a place among those that run."""

    async def waiting(self) -> Sequence[Agent]:
        """The agents that wait for a place, the first in the queue first."""

    async def load(self, team: str, user: str, channel: str, since: float) -> Load:
        """What one person and one channel have at work, and the person's starts since then."""

    async def add_audit(self, entry: Audit) -> None:
        """Record who did what."""

    async def set_channel(self, team: str, channel: str, name: str, value: str) -> None:
        """Set one setting of a channel; an empty value puts the default back."""


class People(Protocol):
    """What Slack knows about people."""

    async def person(self, user: str) -> Person | None:
        """Somebody; None when Slack does not say, now or ever."""


class SecretRows(Protocol):
    """Where secrets are stored; every change is durable when the call returns."""

    async def all(self) -> Sequence[tuple[SecretEntry, str]]:
        """Every secret with its ciphertext."""

    async def put(self, entry: SecretEntry, ciphertext: str, audit: Audit) -> None:
        """Store a secret; it replaces the one with the same reference."""

    async def remove(self, ref: SecretRef, audit: Audit) -> bool:
        """Remove a secret; False when there is none."""

    async def encrypt_anew(self, ref: SecretRef, ciphertext: str) -> None:
        """Replace the ciphertext of the same value."""


class KeyCheck(Protocol):
    """Asks the model provider about a key."""

    async def check_key(self, key: SecretStr) -> None:
        """Raise ModelUnusable with a sentence for the person when the provider refuses it."""


class Credentials(Protocol):
    """The stored credentials that the gateway uses in place of the deployment's own.

    Asked at each call, so that a change counts at once; None: the deployment's own it is.
    """

    async def model_key(self, agent_id: str) -> ModelKey | None:
        """The key for this agent's model calls: of who started it, or of its channel."""

    async def git_token(self, repo: RepoRef) -> SecretStr | None:
        """The token for this repository."""
