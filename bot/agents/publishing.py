"""Puts an agent's work where others review it: its branch at the git host, and a pull request."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

from bot.agents.context import Dependencies
from bot.agents.ports.people import PullRequestHost
from bot.agents.results import SILENT, Results
from bot.domain.agent import Agent, AgentStatus
from bot.domain.pull_request import (
    INSTRUCTIONS,
    Credits,
    PullRequest,
    PullState,
    model_prompt,
    title_and_body,
)
from bot.domain.quoting import code
from bot.errors import BotError, RepositoryError, UserError
from bridge.protocol import Evidence, PushRequest, TaskFinished

logger = logging.getLogger(__name__)

AT_WORK = "The agent is at work. Wait for the end of its task or interrupt it, then press again."
NOT_RUNNING = (
    "The container of this agent does not run, and its branch is not at the git host. Reply in the "
    'thread to wake it, or "restart", and press the button again; or take the patch.'
)
NOTHING = "Nothing to push: no file differs from the source branch."
NO_CREDENTIAL = (
    "There is no token here that may push to `{repo}`. Store one for this repository with "
    "`/agent secrets`, or ask an admin to set GITHUB_TOKEN; the patch has the changes meanwhile."
)
NO_REPOSITORY = "This agent has no repository to push to. The patch has the changes."
SWITCHED_OFF = "Pushing is switched off here (PUSH_BRANCHES). The patch has the changes."
REFUSED = "The git host did not take the branch: {why} The changes are kept here and in the patch."

# Lets a model write for an agent, on its budget, by instructions and a text; "" when it cannot.
WriteCompletion = Callable[[Agent, str, str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Published:
    """The agent's work at the git host. `pull` is None when only the branch was pushed.

    `compare_url`: where a person opens a pull request, when the API did not let us.
    """

    branch_url: str
    pull: PullRequest | None = None
    is_new: bool = False
    compare_url: str = ""
    why_not: str = ""


class Publishing:
    """Pushes branches and opens pull requests; doing so again continues from the host's state.

    Raises UserError.
    """

    def __init__(
        self,
        deps: Dependencies,
        pulls: PullRequestHost,
        write: WriteCompletion,
        results: Results,
        speakers: Callable[[str], Awaitable[Sequence[str]]],
    ) -> None:
        self._deps = deps
        self._pulls = pulls
        self._write = write
        self._results = results
        self.speakers = speakers
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def push(self, agent: Agent) -> Published:
        """Commits what is not committed, and puts the agent's branch at the host."""
        async with self._lock(agent):
            await self._push(agent)
        return Published(self._pulls.branch_url(agent.repo, agent.target_branch))

    async def open(self, agent: Agent, credits_: Credits) -> Published:
        """Pushes, then opens a pull request; one that is open already gets the new commits."""
        async with self._lock(agent):
            await self._push(agent)
            return await self._open(agent, credits_)

    async def state(self, agent: Agent) -> PullRequest | None:
        """Returns the pull request of this agent's branch; None: none, or the host is silent."""
        if not agent.repo.exists or not await self._deps.gateway.may_push(agent.repo):
            return None
        try:
            return await self._pulls.find(agent.repo, agent.target_branch)
        except RepositoryError as error:
            logger.info("the pull request of %s is unknown: %s", agent.id, error)
            return None

    async def evidence(self, agent: Agent) -> Evidence:
        """Returns the evidence of the newest task that changed or checked something."""
        ends = await self._deps.store.events(agent.id, kinds=(TaskFinished,))
        for event in reversed(ends):
            if isinstance(event, TaskFinished) and (
                event.evidence.changed or event.evidence.checks
            ):
                return event.evidence
        return Evidence()

    def _lock(self, agent: Agent) -> asyncio.Lock:
        """Returns the lock of an agent, so that two clicks make one pull request."""
        return self._locks.setdefault(agent.id, asyncio.Lock())

    async def _open(self, agent: Agent, credits_: Credits) -> Published:
        repo, branch = agent.repo, agent.target_branch
        base = agent.source_branch or await self._deps.gateway.check_repository(repo, None)
        branch_url = self._pulls.branch_url(repo, branch)
        try:
            pull = await self._pulls.find(repo, branch)
            if pull is not None and pull.state is PullState.OPEN:
                return Published(branch_url, pull)
            title, body = title_and_body(agent, await self._written_description(agent), credits_)
            opened = await self._pulls.create(repo, branch, base, title, body)
        except RepositoryError as error:
            logger.info("no pull request for %s: %s", agent.id, error)
            compare = self._pulls.compare_url(repo, branch, base)
            return Published(branch_url, compare_url=compare, why_not=error.user_text)
        return Published(branch_url, opened, is_new=True)

    async def _written_description(self, agent: Agent) -> str:
        """Returns the model's title and description; "" when it has none."""
        try:
            patch = (await self._results.patch(agent)).patch
        except UserError:
            return ""
        diff = await asyncio.to_thread(self._deps.hide, patch.decode(errors="replace"))
        written = await self._write(agent, INSTRUCTIONS, model_prompt(agent, diff))
        return self._deps.hide(written)

    async def _push(self, agent: Agent) -> None:
        settings = self._deps.settings
        if not agent.repo.exists:
            raise UserError(NO_REPOSITORY)
        if not settings.push_branches:
            raise UserError(SWITCHED_OFF)
        if not await self._deps.gateway.may_push(agent.repo):
            raise UserError(NO_CREDENTIAL.format(repo=agent.repo))
        current = await self._deps.store.agent(agent.id) or agent
        if current.status in {AgentStatus.WORKING, AgentStatus.STARTING}:
            raise UserError(AT_WORK)
        address = await self._results.address(current)
        if address is None:
            await self._check_pushed(current)
            return
        access = self._deps.gateway.access(agent.id, agent.repo)
        message = self._deps.hide(agent.title)[:200].strip() or f"Changes of agent {agent.id}"
        request = PushRequest(clone_url=access.clone_url, commit_message=message)
        try:
            pushed = await self._deps.bridge.push_branch(address, request)
        except BotError as error:
            raise UserError(SILENT, str(error)) from error
        if pushed.refusal:
            raise UserError(REFUSED.format(why=f"{code(pushed.refusal, 300)}."), pushed.refusal)
        if pushed.commit is None:
            raise UserError(NOTHING)

    async def _check_pushed(self, agent: Agent) -> None:
        """Raises UserError unless the branch is at the host from an earlier push."""
        try:
            await self._deps.gateway.check_repository(agent.repo, agent.target_branch)
        except RepositoryError as error:
            raise UserError(NOT_RUNNING, str(error)) from error
