"""Stand-ins for the ports of bot/agents/ports; each passes the checks of tests/contracts."""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import SecretStr

from bot.agents.context import FetchFile
from bot.domain.agent import Agent, RepoRef
from bot.domain.container import (
    Access,
    Container,
    ContainerSpec,
    Exit,
)
from bot.domain.model_offer import ModelOffer
from bot.domain.posts import (
    ROOT_KEY,
    PostKind,
)
from bot.domain.pull_request import PullRequest, PullState
from bot.domain.secrets import ModelKey
from bot.errors import (
    ChannelUnavailable,
    EngineError,
    FileUnavailable,
    ModelUnusable,
    RepositoryError,
)
from bot.store.agents import SqlStore
from tests.harness.waiting import Changes
from tests.scripted_bridge import ScriptedBridge

__all__ = [
    "FakeCredentials",
    "FakeFiles",
    "FakeGateway",
    "FakeOutbox",
    "FakePulls",
    "FakeRuntime",
    "FakeWriter",
    "ScriptedBridge",
    "Shown",
]

HOST = "https://git.invalid"


class FakeRuntime:
    """An engine that starts containers at once. `silent`: it does not answer at all.

    `refusal` is raised by `start` after it has left nothing behind; `gate` holds `start` up,
    `removal` holds `remove` up.
    """

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self.containers: dict[str, Container] = {}
        self.specs: list[ContainerSpec] = []
        self.removed: list[str] = []
        self.kept: dict[str, float] = {}
        self.sizes: dict[str, int] = {}
        self.silent = False
        self.unanswered = 0
        self.refusal: EngineError | None = None
        self.gate: asyncio.Event | None = None
        self.removal: asyncio.Event | None = None
        self._ended: list[asyncio.Queue[str]] = []

    async def start(self, spec: ContainerSpec) -> Container:
        """Start it at an endpoint named after the agent."""
        self._answer()
        self.specs.append(spec)
        self._changes.tell()
        if self.gate:
            await self.gate.wait()
        if self.refusal:
            raise self.refusal
        if (running := self.containers.get(spec.agent_id)) and running.running:
            return running
        endpoint = f"http://{spec.agent_id}.invalid"
        made = Container(f"c{len(self.specs)}-{spec.agent_id}", spec.agent_id, True, endpoint)
        self.containers[spec.agent_id] = made
        self.kept.setdefault(spec.agent_id, time.time())
        self._changes.tell()
        return made

    async def find(self, agent_id: str) -> Container | None:
        """The container, running or not."""
        self._answer()
        return self.containers.get(agent_id)

    async def list(self) -> Sequence[Container]:
        """All containers."""
        self._answer()
        return list(self.containers.values())

    async def stop(self, agent_id: str) -> None:
        """Stop it and keep it."""
        self._answer()
        if agent_id in self.containers:
            self.die(agent_id, Exit(0, out_of_memory=False))

    async def resume(self, agent_id: str) -> Container:
        """Start a stopped one again."""
        self._answer()
        if agent_id not in self.containers:
            raise EngineError("There is no container to start again.")
        endpoint = f"http://{agent_id}.invalid"
        again = replace(self.containers[agent_id], running=True, endpoint=endpoint, exit=None)
        self.containers[agent_id] = again
        self._changes.tell()
        return again

    async def has_files(self, agent_id: str) -> bool:
        """Whether its volumes are there."""
        self._answer()
        return agent_id in self.kept

    async def files(self) -> Mapping[str, float]:
        """Whose volumes are there, and since when; a test may set `kept`."""
        self._answer()
        return dict(self.kept)

    async def disk_usage(self) -> Mapping[str, int]:
        """What the test has set in `sizes`."""
        self._answer()
        return dict(self.sizes)

    async def remove(self, agent_id: str, *, keep_files: bool = False) -> None:
        """Remove it; gone is a success."""
        self._answer()
        if self.removal:
            self._changes.tell()
            await self.removal.wait()
        self.removed.append(agent_id)
        self.containers.pop(agent_id, None)
        if not keep_files:
            self.kept.pop(agent_id, None)
        self._tell(agent_id)

    async def watch(self) -> AsyncGenerator[str, None]:
        """Each end and removal from now on."""
        heard: asyncio.Queue[str] = asyncio.Queue()
        self._ended.append(heard)
        self._changes.tell()
        while True:
            yield await heard.get()

    @property
    def watched(self) -> bool:
        """Whether somebody listens for ends."""
        return bool(self._ended)

    def _tell(self, agent_id: str) -> None:
        for heard in self._ended:
            heard.put_nowait(agent_id)
        self._changes.tell()

    def die(self, agent_id: str, how: Exit | None = None) -> None:
        """The container's process ends; the container stays, stopped."""
        ended = how or Exit(137, out_of_memory=True)
        dead = replace(self.containers[agent_id], running=False, endpoint=None, exit=ended)
        self.containers[agent_id] = dead
        self._tell(agent_id)

    def _answer(self) -> None:
        if self.silent:
            self.unanswered += 1
            self._changes.tell()
            raise EngineError("The Docker engine does not answer.")


class FakeFiles:
    """Files that people shared, by id; `source` is asked instead, once there is one."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.source: FetchFile | None = None

    async def fetch(self, file_id: str, limit_bytes: int) -> bytes:
        """What is held under this id."""
        if self.source:
            return await self.source(file_id, limit_bytes)
        content = self.held.get(file_id)
        if content is None:
            raise FileUnavailable("Slack does not hand it out (file_not_found).")
        if len(content) > limit_bytes:
            raise FileUnavailable(f"It is larger than {limit_bytes} bytes.")
        return content


class FakeGateway:
    """Lets every repository and model through, unless the test sets an error for the check.

    `model_gate` holds the check of a model up; `checked` are the models asked for.
    """

    def __init__(self, changes: Changes | None = None) -> None:
        self._changes = changes or Changes()
        self.checked: list[str] = []
        self.model_gate: asyncio.Event | None = None
        self.opened: dict[str, RepoRef] = {}
        self.repository_error: RepositoryError | None = None
        self.model_error: ModelUnusable | None = None
        self.pushes = False
        self.listed: Sequence[str] = ()

    def access(self, agent_id: str, repo: RepoRef) -> Access:
        """Addresses of nowhere and a canary."""
        base = "http://gateway.invalid"
        return Access(f"{base}/v1", f"{base}/git/{repo}.git", SecretStr(f"canary-{agent_id}"))

    async def open(self, agent_id: str, repo: RepoRef) -> None:
        """Note that the agent may pass."""
        self.opened[agent_id] = repo

    async def close(self, agent_id: str) -> None:
        """Note that it may not."""
        self.opened.pop(agent_id, None)

    async def check_repository(self, repo: RepoRef, branch: str | None) -> str:
        """The branch asked for, or main."""
        if self.repository_error:
            raise self.repository_error
        return branch or "main"

    @property
    def lists_repositories(self) -> bool:
        """Whether the test has listed any."""
        return bool(self.listed)

    async def repositories(self) -> Sequence[str]:
        """What the test has listed."""
        return self.listed

    async def check_model(self, model: str) -> None:
        """Any model."""
        self.checked.append(model)
        self._changes.tell()
        if self.model_gate:
            await self.model_gate.wait()
        if self.model_error:
            raise self.model_error

    async def may_push(self, repo: RepoRef) -> bool:
        """As the test says."""
        return self.pushes

    async def models(self) -> Sequence[ModelOffer]:
        """One model."""
        return [ModelOffer("acme/model", 200_000, 3.0, 15.0, takes_tools=True)]


@dataclass(frozen=True, slots=True)
class Shown:
    """A post as Slack shows it: the newest content under its key."""

    key: str
    kind: PostKind
    ts: str
    thread_ts: str | None
    payload: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The text of a message, the name of a reaction or file."""
        return str(self.payload.get("text") or self.payload.get("name"))


class FakeOutbox:
    """A sender to a Slack that takes everything at once; the posts come from the real store.

    `refusal` is what Slack answers to root messages; `late`: no root message arrives in time.
    """

    def __init__(self, store: SqlStore) -> None:
        self._rows = store.outbox_rows
        self._count = 0
        self.shown: dict[tuple[str, str], Shown] = {}
        self.refusal: ChannelUnavailable | None = None
        self.late = False

    async def sent(self, agent_id: str, key: str, timeout_seconds: float) -> str:
        """Send everything that waits; the ts of the one asked for."""
        if self.late:
            raise TimeoutError
        if self.refusal:
            raise self.refusal
        await self.deliver()
        if (agent_id, key) not in self.shown:
            raise TimeoutError
        return self.shown[agent_id, key].ts

    async def deliver(self) -> None:
        """Make the shown posts agree with the stored ones, as far as their threads exist."""
        for _ in range(2):  # a root opens the thread of the others
            for row in await self._rows.open():
                if row.thread_ts is None and row.key != ROOT_KEY:
                    continue
                content = await self._rows.begin(row.id)
                if content is None:
                    continue
                self._count += 1
                ts = row.ts or f"1000.{self._count:06d}"
                await self._rows.sent(row.id, content.version, ts)
                shown = Shown(row.key, row.kind, ts, row.thread_ts, content.payload)
                self.shown[row.agent_id, row.key] = shown


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


@dataclass
class FakeCredentials:
    """Credentials that a test stores: keys by agent, tokens by repository."""

    keys: dict[str, ModelKey] = field(default_factory=dict)
    tokens: dict[RepoRef, SecretStr] = field(default_factory=dict)

    async def model_key(self, agent_id: str) -> ModelKey | None:
        """The key of an agent."""
        return self.keys.get(agent_id)

    async def git_token(self, repo: RepoRef) -> SecretStr | None:
        """The token of a repository, whose name has no case."""
        by_name = {str(stored).lower(): token for stored, token in self.tokens.items()}
        return by_name.get(str(repo).lower())
