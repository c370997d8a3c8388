"""The people around an agent: how they see it, who they are, and where they review its work."""

from collections.abc import Sequence
from typing import Protocol

from pydantic import SecretStr

from bot.domain.agent import Agent, RepoRef
from bot.domain.egress import Denial
from bot.domain.message import Closed
from bot.domain.policy import Person
from bot.domain.posts import Post
from bot.domain.pull_request import PullRequest
from bot.domain.saved_state import SavedWork
from bot.domain.secrets import ModelKey
from bot.domain.task_card import TaskCard, ToolLine
from bridge.protocol import ModelChanged, QuestionAsked


class Presenter(Protocol):
    """Turns what happened into posts. Pure: no I/O, the same input gives the same post."""

    def root(self, agent: Agent) -> Post:
        """The message that starts the thread; it never changes."""

    def card(self, agent: Agent, card: TaskCard) -> Post:
        """The live card of a task; a line once the task has ended."""

    def step(self, agent: Agent, card: TaskCard, number: int, lines: Sequence[ToolLine]) -> Post:
        """What one step of a task did, as a message of its own."""

    def answer(self, agent: Agent, card: TaskCard) -> Sequence[Post]:
        """The end of a task: the model's answer, a limit or a trouble; the only notification."""

    def question(
        self, agent: Agent, card: TaskCard, asked: QuestionAsked, closed: Closed | None = None
    ) -> Post:
        """A question to the people, or how it was closed."""

    def stopped(self, agent: Agent, actor: str, seconds: float, saved: SavedWork) -> Post:
        """Who stopped the agent, what was done and what was saved."""

    def salvaged(self, agent: Agent, saved: SavedWork) -> Post:
        """Tell what was read of a stopped agent after its stop, or that it cannot be read."""

    def notice(self, agent: Agent, key: str, text: str) -> Post:
        """Something that happened and is no trouble; `text` is mrkdwn of ours."""

    def fallback(self, agent: Agent, event: ModelChanged) -> Post:
        """Another model goes on, and why."""

    def denied(self, agent: Agent, key: str, command: str, hosts: Sequence[Denial]) -> Post:
        """What a command wanted from the network and did not get; the first denial of each host."""

    def trouble(self, agent: Agent, key: str, text: str) -> Post:
        """What went wrong, in plain words, and the next step."""

    def patch(self, agent: Agent, key: str, patch: bytes) -> Post:
        """The changes as a file that `git apply` accepts; one for each key."""

    def mark(self, agent: Agent, message_ts: str, fate: str, *, present: bool = True) -> Post:
        """Mark a person's message by a reaction: `received`, `queued` or `used`."""


class Directory(Protocol):
    """What Slack knows about people."""

    async def person(self, user: str) -> Person | None:
        """Somebody; None when Slack does not say, now or ever."""


class PullRequestHost(Protocol):
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


class Credentials(Protocol):
    """The stored credentials that the gateway uses in place of the deployment's own.

    Asked at each call, so that a change counts at once; None: the deployment's own it is.
    """

    async def model_key(self, agent_id: str) -> ModelKey | None:
        """The key for this agent's model calls: of who started it, or of its channel."""

    async def git_token(self, repo: RepoRef) -> SecretStr | None:
        """The token for this repository."""
