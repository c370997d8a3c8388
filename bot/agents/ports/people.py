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
    """Turns events into posts. Pure: no I/O, the same input gives the same post."""

    def root(self, agent: Agent) -> Post:
        """Returns the message that starts the thread; it never changes."""

    def card(self, agent: Agent, card: TaskCard) -> Post:
        """Returns the live card of a task; a line once the task has ended."""

    def step(self, agent: Agent, card: TaskCard, number: int, lines: Sequence[ToolLine]) -> Post:
        """Returns the calls of one step as a message of their own."""

    def answer(self, agent: Agent, card: TaskCard) -> Sequence[Post]:
        """Returns the end of a task: the answer, a limit or a failure; the only notification."""

    def question(
        self, agent: Agent, card: TaskCard, asked: QuestionAsked, closed: Closed | None = None
    ) -> Post:
        """Returns a question to the people, or how it was closed."""

    def stopped(self, agent: Agent, actor: str, seconds: float, saved: SavedWork) -> Post:
        """Returns the message of a stop: by whom, what was done, what was saved."""

    def salvaged(self, agent: Agent, saved: SavedWork) -> Post:
        """Tells what was read of a stopped agent after its stop, or that it cannot be read."""

    def notice(self, agent: Agent, key: str, text: str) -> Post:
        """Returns a message about an event that is no trouble; `text` is mrkdwn of ours."""

    def fallback(self, agent: Agent, event: ModelChanged) -> Post:
        """Returns the message that another model continues, and why."""

    def denied(self, agent: Agent, key: str, command: str, hosts: Sequence[Denial]) -> Post:
        """Returns the hosts that a command was refused, with the first denial of each."""

    def trouble(self, agent: Agent, key: str, text: str) -> Post:
        """Returns a message about a failure, in plain words, with the next step."""

    def patch(self, agent: Agent, key: str, patch: bytes) -> Post:
        """Returns the changes as a file that `git apply` accepts; one for each key."""

    def mark(self, agent: Agent, message_ts: str, fate: str, *, present: bool = True) -> Post:
        """Marks a person's message by a reaction: `received`, `queued` or `used`."""


class Directory(Protocol):
    """Looks people up in Slack."""

    async def person(self, user: str) -> Person | None:
        """Returns the person; None when Slack does not answer."""

    async def may_see_channel(self, user: str, channel: str) -> bool:
        """Checks whether the person may read the channel; False when Slack does not answer."""

    def note_presence(self, user: str, channel: str) -> None:
        """Notes that Slack delivered something that the person did in the channel just now."""


class PullRequestHost(Protocol):
    """The git host's pull requests. Raises RepositoryError with a sentence for the person."""

    async def find(self, repo: RepoRef, branch: str) -> PullRequest | None:
        """Returns the newest pull request of this branch, in any state; None: there is none."""

    async def create(
        self, repo: RepoRef, branch: str, base: str, title: str, body: str
    ) -> PullRequest:
        """Opens one; raises NothingToPropose when the branch holds no more than its base."""

    def compare_url(self, repo: RepoRef, branch: str, base: str) -> str:
        """Returns the page on which a person opens one by hand."""

    def branch_url(self, repo: RepoRef, branch: str) -> str:
        """Returns the page that shows the branch."""


class Credentials(Protocol):
    """The stored credentials that the gateway uses in place of the deployment's own.

    Asked at each call, so that a change counts at once; None: the deployment's own it is.
    """

    async def model_key(self, agent_id: str) -> ModelKey | None:
        """Returns the key for this agent's model calls: of who started it, or of its channel."""

    async def git_token(self, repo: RepoRef) -> SecretStr | None:
        """Returns the token for this repository."""
