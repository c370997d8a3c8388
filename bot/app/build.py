"""What stands before Slack is asked anything: the store, the engine, the gateway, the keys."""

import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from bot.agents.access.billing import Billing
from bot.agents.access.encryption import open_vault
from bot.agents.access.secrets import Secrets
from bot.agents.egress_notices import EgressNotices
from bot.app.fault_injection import CrashPoints
from bot.config import Settings
from bot.errors import BotError
from bot.gateway.model.key_check import KeyCheck
from bot.gateway.server import HostGateway
from bot.redaction import Redactor
from bot.runtime.docker import DockerRuntime
from bot.runtime.sealing import why_open
from bot.slack.views.presenter import SlackPresenter
from bot.store.agents import SqlStore

logger = logging.getLogger(__name__)

# More than all agents together need at a time; a call that waits for a connection looks stuck.
CONNECTIONS = 1_000


@dataclass(frozen=True, slots=True)
class Foundation:
    """What stands before Slack is asked anything. `watched` is the store with its crash points."""

    settings: Settings
    redact: Redactor
    points: CrashPoints
    store: SqlStore
    watched: SqlStore
    keyring: Secrets
    runtime: DockerRuntime
    session: aiohttp.ClientSession
    voice: SlackPresenter
    gateway: HostGateway
    denials: EgressNotices


@asynccontextmanager
async def founded(settings: Settings, redact: Redactor) -> AsyncIterator[Foundation]:
    """Open it; raises ConfigurationError, EngineError or StoreUnavailable. Closes it at the end."""
    async with AsyncExitStack() as stack:
        data_dir = settings.data_dir.resolve()
        store = await SqlStore.open(settings.database, data_dir)
        stack.push_async_callback(store.close)
        store.hide = redact
        store.retention.keep(settings.retention_days, settings.usage_days)
        points = CrashPoints(settings.crash_at)
        watched = points.around("store", store)
        keyring = await _keyring(store, settings, redact)
        runtime = await stack.enter_async_context(
            DockerRuntime(instance_id(data_dir), engine_runtime=settings.container_runtime)
        )
        await runtime.check(settings.bridge_image)
        stack.push_async_callback(_tidy, runtime)
        session = await stack.enter_async_context(_session())
        voice = SlackPresenter(
            settings.slack_stop_reaction, redact.holds, native=settings.slack_plan_blocks
        )
        accountant = Billing(watched, voice, settings)
        gateway = await stack.enter_async_context(
            _gateway(settings, session, store, keyring, accountant, runtime)
        )
        denials = EgressNotices(watched, voice)
        gateway.denied = denials.note
        yield Foundation(
            settings,
            redact,
            points,
            store,
            watched,
            keyring,
            runtime,
            session,
            voice,
            gateway,
            denials,
        )


@asynccontextmanager
async def _gateway(
    settings: Settings,
    session: aiohttp.ClientSession,
    store: SqlStore,
    keyring: Secrets,
    accountant: Billing,
    runtime: DockerRuntime,
) -> AsyncIterator[HostGateway]:
    """The gateway, which knows the agents that are alive before it listens."""
    gateway = HostGateway(settings, settings.data_dir.resolve(), session)
    gateway.credentials = keyring
    keyring.check_key = KeyCheck(session, settings.openrouter_base_url).check_key
    # Calls that a killed bot has left open count at their worst case.
    await store.usage_rows.settle_open()
    gateway.know_agents(store)
    gateway.account_with(accountant)
    # Containers that worked on meanwhile ask at once; a refused token would end their tasks.
    for agent in await store.agents():
        await gateway.open(agent.id, agent.repo)
    if reason := await why_open(runtime.why_not_sealed, settings):
        logger.warning("the containers' network is open: %s", reason)
        await gateway.start(settings.gateway_host or await runtime.network_gateway())
    else:
        await gateway.start_sealed()
    try:
        yield gateway
    finally:
        await gateway.stop()


async def _keyring(store: SqlStore, settings: Settings, redact: Redactor) -> Secrets:
    """What people have stored; raises ConfigurationError when the key to it is another one."""
    vault = open_vault(settings.data_dir.resolve(), settings.secrets_key.get_secret_value())
    redact.add(*vault.keys)
    keyring = Secrets(store.secret_rows, store, vault, redact, time.time)
    await keyring.open()
    return keyring


@asynccontextmanager
async def _session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, trust_env=True) as session:
        yield session


async def _tidy(runtime: DockerRuntime) -> None:
    """Take the network away when no agent needs it; the next start makes it again."""
    try:
        await runtime.forget_network()
    except BotError as error:
        logger.warning("the network of this deployment is still there: %s", error)


def instance_id(data_dir: Path) -> str:
    """The name of this deployment on its engine, made once."""
    path = data_dir / "instance"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        made = secrets.token_hex(4)
        path.write_text(f"{made}\n")
        return made
