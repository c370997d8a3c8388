"""Stand-ins for a git host's pull requests and for the model that describes them."""

from dataclasses import replace

from bot.domain.agent import Agent, RepoRef
from bot.domain.pull_request import PullRequest, PullState
from bot.errors import RepositoryError

HOST = "https://git.invalid"


class FakePulls:
    """A host that takes every pull request, unless the test sets an error."""

    def __init__(self) -> None:
        self.opened: dict[str, PullRequest] = {}
        self.bodies: list[str] = []
        self.error: RepositoryError | None = None

    async def find(self, repo: RepoRef, branch: str) -> PullRequest | None:
        """The one of this branch."""
        if self.error:
            raise self.error
        return self.opened.get(branch)

    async def create(
        self, repo: RepoRef, branch: str, base: str, title: str, body: str
    ) -> PullRequest:
        """Open it."""
        if self.error:
            raise self.error
        number = len(self.bodies) + 1
        made = PullRequest(number, f"{HOST}/{repo}/pull/{number}", title, PullState.OPEN)
        self.opened[branch] = made
        self.bodies.append(body)
        return made

    def ends(self, branch: str, state: PullState) -> None:
        """What somebody does with it at the host."""
        self.opened[branch] = replace(self.opened[branch], state=state)

    def compare_url(self, repo: RepoRef, branch: str, base: str) -> str:
        """A page of nowhere."""
        return f"{HOST}/{repo}/compare/{base}...{branch}?expand=1"

    def branch_url(self, repo: RepoRef, branch: str) -> str:
        """A page of nowhere."""
        return f"{HOST}/{repo}/tree/{branch}"


class FakeWriter:
    """A model that writes what the test says; `asked` holds what it was told."""

    def __init__(self) -> None:
        self.words = ""
        self.asked: list[str] = []

    async def write(self, agent: Agent, instructions: str, text: str) -> str:
        """The words."""
        self.asked.append(text)
        return self.words
