"""What publishing an agent's work needs from the outside."""

from collections.abc import Sequence
from typing import Protocol

from bot.domain.agent import Agent, RepoRef
from bot.domain.pull_request import PullRequest


class Pulls(Protocol):
    """The git host's pull requests. Raises RepositoryError with a sentence for the person."""

    async def find(self, repo: RepoRef, branch: str) -> PullRequest | None:
        """The newest pull request of this branch, whatever became of it; None: there is none."""

    async def create(
        self, repo: RepoRef, branch: str, base: str, title: str, body: str
    ) -> PullRequest:
        """Open one; raises NothingToPropose when the branch holds no more than its base."""

    def compare_url(self, repo: RepoRef, branch: str, base: str) -> str:
        """Where a person opens one by hand."""

    def branch_url(self, repo: RepoRef, branch: str) -> str:
        """Where a person sees the branch."""


class CompletionWriter(Protocol):
    """A model that writes for an agent, on the agent's budget."""

    async def write(self, agent: Agent, instructions: str, text: str) -> str:
        """What it wrote; "" when it did not."""


class Speakers(Protocol):
    """Who said something to an agent."""

    async def speakers(self, agent_id: str) -> Sequence[str]:
        """Their user ids, in the order of their first message."""
