"""Describes an agent as data: its identity, its status, and the change by each event."""

import re
import secrets
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from bot.domain.quoting import code
from bot.domain.verbosity import Verbosity
from bot.errors import InvalidCommand
from bridge.protocol import (
    AgentEvent,
    QuestionAnswered,
    QuestionAsked,
    StepStarted,
    TaskFinished,
    TaskPaused,
    TaskResumed,
    TaskStarted,
    UsageRecorded,
    WorkspaceReadyEvent,
)

# GitHub's rules for account and repository names; a leading "-" or "." never gets through.
_OWNER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
# The subset of git's check-ref-format that needs no quoting anywhere.
_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}")

_ID_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_ID_LENGTH = 6


class AgentStatus(StrEnum):
    """The status of an agent: starting → working ⇄ idle ⇄ sleeping → stopped | failed | lost."""

    STARTING = "starting"
    WORKING = "working"
    IDLE = "idle"
    SLEEPING = "sleeping"
    STOPPED = "stopped"
    FAILED = "failed"
    LOST = "lost"


class SecretScope(StrEnum):
    """The scope of a stored value, the widest first: the narrower one wins."""

    DEPLOYMENT = "deployment"
    REPOSITORY = "repository"
    CHANNEL = "channel"
    USER = "user"


class Leftover(StrEnum):
    """The part of a stopped agent that only its files hold, which are kept for it."""

    NOTHING = "nothing"
    CONVERSATION = "conversation"
    PATCH = "patch"
    FILES = "files"  # more than the host takes: only a new container can go on with them


ALIVE = frozenset(
    {AgentStatus.STARTING, AgentStatus.WORKING, AgentStatus.IDLE, AgentStatus.SLEEPING}
)

# These hold no place among the agents that run: the ended ones, and those that sleep.
_RESTING = frozenset(AgentStatus) - ALIVE | {AgentStatus.SLEEPING}


@dataclass(frozen=True, slots=True)
class ThreadRef:
    """A thread in Slack: team, channel and the ts of the root message."""

    team: str
    channel: str
    thread_ts: str


@dataclass(frozen=True, slots=True)
class RepoRef:
    """A repository as `owner/name`; NO_REPOSITORY stands for an empty workspace."""

    owner: str
    name: str

    @property
    def exists(self) -> bool:
        """Checks whether it is a repository at all."""
        return bool(self.owner)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `owner/name`; raises InvalidCommand naming what is wrong."""
        owner, slash, name = text.partition("/")
        if not slash or not _OWNER.fullmatch(owner) or not _NAME.fullmatch(name):
            raise InvalidCommand(
                f"{code(text, 100)} is not a repository. Write it as `owner/name`, for example "
                "`acme/api`; no URL is needed."
            )
        return cls(owner, name.removesuffix(".git") or name)

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}" if self.owner else "an empty workspace"


# No name can be read as this one, so no repository answers to it.
NO_REPOSITORY = RepoRef("", "")


def checked_branch(text: str) -> str:
    """Returns the branch name when it is one that git accepts; raises InvalidCommand."""
    parts = text.split("/")
    wrong = (
        not _BRANCH.fullmatch(text)
        or ".." in text
        or text.endswith((".", "/"))
        or any(part.startswith(".") or part.endswith(".lock") or not part for part in parts)
    )
    if wrong:
        raise InvalidCommand(f"{code(text, 100)} is not a branch name. Write `owner/name@branch`.")
    return text


def new_agent_id() -> str:
    """Returns a short id that people can read aloud and type."""
    return "".join(secrets.choice(_ID_ALPHABET) for _ in range(_ID_LENGTH))


def branch_for(agent_id: str, title: str) -> str:
    """Returns the agent's own branch: our template, with a few plain words of the task."""
    words = re.findall(r"[a-z0-9]+", title.lower())
    slug = "-".join(words)[:40].strip("-")
    return f"agent/{agent_id}-{slug}" if slug else f"agent/{agent_id}"


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent: one thread, one container, one checkout, one conversation.

    `last_seq` is the newest event that is stored; `task_number` counts the tasks from 1;
    `cost_usd` is None until a provider has named a cost. `revived_at` is when its container last
    had to be started again after an end that nobody asked for; `read_ts` is the newest message of
    its thread that we have read. `spent_nano` is what the gateway's ledger has for its model calls,
    in billionths of a dollar, `budget_nano` the most it may be, None for no cap of its own.
    `placed`: it counts among the agents that may run; `waiting_since` is from when it waits for
    that, 0.0 when it does not. `paid_by`: where the key of its last model call is stored.
    `starter_name` is how Slack calls `started_by`, "" when it did not say. `leftover`
    is what a stop could not read. Times are seconds since the epoch, UTC.
    """

    id: str
    team: str
    channel: str
    thread_ts: str | None
    repo: RepoRef
    source_branch: str | None
    target_branch: str
    title: str
    model: str
    max_steps: int
    started_by: str
    created_at: float
    status: AgentStatus = AgentStatus.STARTING
    container_id: str | None = None
    task_id: str | None = None
    task_number: int = 0
    step: int = 0
    last_seq: int = 0
    cost_usd: float | None = None
    base_commit: str | None = None
    status_since: float = 0.0
    revived_at: float = 0.0
    read_ts: str = ""
    budget_nano: int | None = None
    spent_nano: int = 0
    placed: bool = False
    waiting_since: float = 0.0
    verbosity: Verbosity = Verbosity.NORMAL
    paid_by: SecretScope = SecretScope.DEPLOYMENT
    starter_name: str = ""
    leftover: Leftover = Leftover.NOTHING

    @property
    def thread(self) -> ThreadRef | None:
        """Returns the thread, once its root message is posted."""
        return ThreadRef(self.team, self.channel, self.thread_ts) if self.thread_ts else None

    @property
    def first_task_id(self) -> str:
        """Returns the id of the task that started the agent."""
        return f"{self.id}-1"

    @property
    def alive(self) -> bool:
        """Checks whether replies reach it: not stopped, failed or lost."""
        return self.status in ALIVE

    @property
    def waiting(self) -> bool:
        """Checks whether it waits for a place among the agents that run."""
        return self.alive and not self.placed and self.waiting_since > 0

    def with_status(self, status: AgentStatus, now: float) -> "Agent":
        """Returns the agent in another status since `now`; in the same one, it is the same agent.

        One that ends or falls asleep leaves its place.
        """
        rests = status in _RESTING
        if status is self.status:
            return replace(self, placed=False) if rests and self.placed else self
        changed = replace(self, status=status, status_since=now)
        return replace(changed, placed=False, waiting_since=0.0) if rests else changed

    def admitted(self) -> "Agent":
        """Returns the agent with a place among those that run."""
        return replace(self, placed=True, waiting_since=0.0)

    def queued(self, now: float) -> "Agent":
        """Returns the agent waiting for a place; one that waits already keeps its turn."""
        return self if self.waiting_since else replace(self, waiting_since=now)

    def with_container(self, container_id: str) -> "Agent":
        """Returns the agent with its container."""
        return replace(self, container_id=container_id)

    def with_budget(self, nano: int) -> "Agent":
        """Returns the agent with so much to spend in all."""
        return replace(self, budget_nano=nano)

    def revived(self, now: float) -> "Agent":
        """Returns the agent whose container is started again after an end that nobody asked for."""
        return replace(self, revived_at=now)

    def apply(self, event: AgentEvent) -> "Agent":
        """Returns the agent after this event; an event that is already stored changes nothing."""
        if event.seq and event.seq <= self.last_seq:
            return self
        after = self._after(event)
        return replace(after, last_seq=event.seq) if event.seq else after

    def _after(self, event: AgentEvent) -> "Agent":
        match event:
            case WorkspaceReadyEvent():
                return replace(
                    self, source_branch=event.source_branch, base_commit=event.base_commit
                )
            case TaskStarted():
                return replace(
                    self,
                    status=AgentStatus.WORKING if self.alive else self.status,
                    status_since=event.at,
                    task_id=event.task_id,
                    task_number=self.task_number + (event.task_id != self.task_id),
                    step=0,
                )
            case StepStarted():
                return replace(self, step=event.step)
            case UsageRecorded():
                if event.cost_usd is None:
                    return self
                return replace(self, cost_usd=(self.cost_usd or 0.0) + event.cost_usd)
            case TaskFinished() | QuestionAsked() | TaskPaused():
                # One that waits for a person may sleep meanwhile.
                return self._in_status(AgentStatus.IDLE, event.at)
            case QuestionAnswered() | TaskResumed():
                return self._in_status(AgentStatus.WORKING, event.at)
            case _:
                return self

    def _in_status(self, status: AgentStatus, at: float) -> "Agent":
        return replace(self, status=status if self.alive else self.status, status_since=at)


@dataclass(frozen=True, slots=True)
class OwnThread:
    """A thread that has an agent. `stopped_at` is the newest stop that was handled; 0.0: none."""

    agent: Agent
    stopped_at: float
