"""The product's core on a real database, with fakes around it, for the length of a test."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from bot.agents.access.encryption import Cipher
from bot.agents.access.secrets import Secrets
from bot.agents.context import Dependencies
from bot.agents.lifecycle.fleet import Fleet
from bot.agents.service import AgentService, Origin, ThreadMessage
from bot.config import Settings
from bot.domain.agent import Agent, AgentStatus, RepoRef, ThreadRef
from bot.domain.container import ContainerSpec
from bot.domain.health import Examined, broken, fine
from bot.domain.start_command import StartAgent
from bot.redaction import Redactor
from bot.slack.views.presenter import SlackPresenter
from bot.store.agents import SqlStore
from bot.store.database import Engines, parse_url
from bot.store.transaction import SqlTransaction
from tests.fakes import (
    FakeFiles,
    FakeGateway,
    FakeOutbox,
    FakePulls,
    FakeRuntime,
    FakeWriter,
    Shown,
)
from tests.harness.clocks import Clock
from tests.harness.waiting import Changes
from tests.scripted_bridge import ScriptedBridge

REPO = RepoRef("acme", "api")
COMMAND = StartAgent(REPO, "fix the flaky test")
KNOWN_SECRET = "canary-known-0815"
CIPHER_KEY = "Y2FuYXJ5LWtleS1vZi10aGUtdmF1bHQtMzItYnl0ZXM="
ORIGIN = Origin("T1", "C1", "UANA", claim="trigger-1")


def spec(agent_id: str) -> ContainerSpec:
    """What any container is made from."""
    return ContainerSpec(agent_id, "image", 2**28, 10**9, {})


def plain_agent(agent_id: str, user: str = "U") -> Agent:
    """An agent of this person that has not been started yet."""
    return Agent(agent_id, "T1", "C1", None, REPO, None, "b", "t", "m", 15, user, 1.0)


class WatchedStore(SqlStore):
    """The real store, which tells after each commit."""

    def __init__(self, engines: Engines) -> None:
        super().__init__(engines)
        self.changes = Changes()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[SqlTransaction]:
        """The store's own transaction."""
        async with super().transaction() as tx:
            yield tx
        self.changes.tell()


async def examined(channels: Sequence[str]) -> Sequence[Examined]:
    """A deployment whose disk is nearly full."""
    full = broken("1 < 2 GiB", "Make *room*.")
    there = Examined("Slack channels", fine(", ".join(channels)), 0.1)
    return there, Examined("disk", full, 0.1)


_migrated: list[bytes] = []


async def open_store(folder: Path) -> WatchedStore:
    """A store on a new SQLite file; the migrations run once, then their file is copied."""
    path = folder / "bot.db"
    address = f"sqlite+aiosqlite:///{path}"
    if not _migrated:
        opened = await SqlStore.open(address, folder)
        await opened.close()
        _migrated.append(path.read_bytes())
    path.write_bytes(_migrated[0])
    return WatchedStore(Engines.of(parse_url(address)))


@dataclass
class AppHarness:
    """The core of one bot with everything around it. `bot` is replaced by `restart`."""

    store: WatchedStore
    runtime: FakeRuntime
    bridge: ScriptedBridge
    gateway: FakeGateway
    outbox: FakeOutbox
    changes: Changes
    clock: Clock
    dependencies: Dependencies
    redact: Redactor
    secrets: Secrets
    files: FakeFiles
    pulls: FakePulls = field(default_factory=FakePulls)
    writer: FakeWriter = field(default_factory=FakeWriter)
    fleet: Fleet = field(init=False)
    service: AgentService = field(init=False)

    def __post_init__(self) -> None:
        """Start the bot's process."""
        self.fleet = Fleet(self.dependencies)
        self.service = AgentService(self.dependencies, self.fleet)
        self.store.on_left = self.fleet.place_freed.set

    async def restart(self) -> None:
        """End the bot's process in an orderly way and start the next one."""
        await self.fleet.close()
        self.__post_init__()

    async def working(self, claim: str = "trigger-1") -> Agent:
        """A started agent whose first task runs."""
        origin = Origin("T1", "C1", "UANA", claim=claim)
        agent = await self.service.start(COMMAND, origin)
        assert agent
        return await self.reaches(agent.id, AgentStatus.WORKING)

    async def idle(self, claim: str = "trigger-1") -> Agent:
        """A started agent whose first task has ended."""
        agent = await self.working(claim)
        self.bridge.finish(agent.id, "Done.")
        return await self.reaches(agent.id, AgentStatus.IDLE)

    async def reaches(self, agent_id: str, status: AgentStatus) -> Agent:
        """The agent as stored, once it is in this status."""

        async def look() -> Agent | None:
            agent = await self.store.agent(agent_id)
            return agent if agent and agent.status is status else None

        return await self.changes.found(look)

    async def stored(self, agent_id: str) -> Agent:
        """Returns the agent as stored; it must be there."""
        agent = await self.store.agent(agent_id)
        assert agent
        return agent

    async def asked(self, route: str, times: int = 1) -> None:
        """Wait until a bridge was asked for this route so many times."""
        await self.changes.until(lambda: len(self.bridge.bodies(route)) >= times)

    async def reply(self, agent: Agent, ts: str, text: str = "go on", **fields: object) -> bool:
        """Reply in the agent's thread."""
        stored = await self.stored(agent.id)
        assert stored.thread_ts
        thread = ThreadRef("T1", "C1", stored.thread_ts)
        return await self.service.reply(ThreadMessage(thread, "UBEN", ts, text, **fields))  # type: ignore[arg-type]

    async def shown(self, agent_id: str) -> dict[str, Shown]:
        """What the agent's thread shows, by key."""
        await self.outbox.deliver()
        return {key: post for (owner, key), post in self.outbox.shown.items() if owner == agent_id}


@asynccontextmanager
async def app_harness(folder: Path, settings: Settings | None = None) -> AsyncIterator[AppHarness]:
    """A bot on a new database in this folder; everything is closed at the end."""
    store = await open_store(folder)
    changes, clock = store.changes, Clock()
    runtime, bridge = FakeRuntime(changes), ScriptedBridge(changes)
    gateway, outbox = FakeGateway(changes), FakeOutbox(store)
    redact = store.hide = Redactor([KNOWN_SECRET])
    secrets = Secrets(store, Cipher([CIPHER_KEY]), redact, clock)
    await secrets.open()
    files = FakeFiles()
    dependencies = Dependencies(
        settings=settings or Settings(_env_file=None),
        store=store,
        outbox=outbox,
        runtime=runtime,
        bridge=bridge,
        gateway=gateway,
        presenter=SlackPresenter("octagonal_sign", redact.holds),
        bridge_token=lambda agent_id: SecretStr(f"canary-bridge-{agent_id}"),
        clock=clock,
        variables=secrets.variables,
        hide=redact.known,
        fetch_file=files.fetch,
        examine=examined,
    )
    made = AppHarness(
        store,
        runtime,
        bridge,
        gateway,
        outbox,
        changes,
        clock,
        dependencies,
        redact,
        secrets,
        files,
    )
    try:
        yield made
    finally:
        await made.fleet.close()
        await store.close()
