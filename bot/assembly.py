"""The composition root: the only file that knows every part and puts them together."""

import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.accounting import Accountant
from bot.agents.denials import Denials
from bot.agents.fleet import Fleet
from bot.agents.gate import Gate
from bot.agents.keyring import Keyring
from bot.agents.publishing import Publishing
from bot.agents.recovery import Recovery
from bot.agents.service import AgentService
from bot.agents.world import World
from bot.bridge_client import HttpBridge
from bot.config import Settings
from bot.control import listening
from bot.crashpoints import CrashPoints
from bot.doctor import Doctor
from bot.domain.policy import Action
from bot.errors import BotError
from bot.gateway.key_check import KeyCheck
from bot.gateway.server import HostGateway
from bot.redaction import Redactor
from bot.runtime.docker import DockerRuntime
from bot.runtime.sealing import is_sealed
from bot.slack.catch_up import CatchUp
from bot.slack.desks import Desks, open_desks
from bot.slack.files import SlackFiles
from bot.slack.home_desk import HomeDesk
from bot.slack.identity import Identity, identify, slack_client
from bot.slack.inbox import Inbox
from bot.slack.incoming import is_urgent
from bot.slack.listeners import register_listeners
from bot.slack.outbox import Outbox
from bot.slack.people import SlackPeople
from bot.slack.render.voice import SlackVoice
from bot.slack.sealing import Sealing
from bot.store.store import SqlStore
from bot.vault import open_vault

logger = logging.getLogger(__name__)

# More than all agents together need at a time; a call that waits for a connection looks stuck.
CONNECTIONS = 1_000


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that runs."""

    app: AsyncApp
    store: SqlStore
    fleet: Fleet
    recovery: Recovery
    inbox: Inbox
    outbox: Outbox
    catch_up: CatchUp
    home: HomeDesk
    doctor: Doctor
    denials: Denials


@dataclass(frozen=True, slots=True)
class _Ground:
    """What stands before Slack is asked anything. `watched` is the store with its crash points."""

    settings: Settings
    redact: Redactor
    points: CrashPoints
    store: SqlStore
    watched: SqlStore
    keyring: Keyring
    runtime: DockerRuntime
    session: aiohttp.ClientSession
    voice: SlackVoice
    gateway: HostGateway
    denials: Denials


@asynccontextmanager
async def assembled(settings: Settings, redact: Redactor) -> AsyncIterator[Parts]:
    """Every part, open and put together; closes them in the opposite order."""
    async with _ground(settings, redact) as ground:
        client = slack_client(settings, ground.session)
        identity = await identify(client)
        slack = ground.points.around("slack", client)
        outbox = _outbox(ground, slack, identity)
        doctor = Doctor(settings, ground.session, ground.runtime)
        world = _world(ground, slack, outbox, doctor)
        fleet = Fleet(world)
        ground.store.on_left = fleet.somebody_left.set
        service = AgentService(world, fleet)
        gate = Gate(world, SlackPeople(slack, identity.team))

        async def stop_agent(agent_id: str) -> None:
            await service.stop(agent_id, "")
            await gate.note(Action.STOP, "operator", agent_id)

        async with listening(settings.data_dir.resolve(), stop_agent):
            desks = _desks(ground, world, service, gate, slack, identity)
            inbox = Inbox(
                ground.points.around("inbox", ground.store.inbox_rows),
                lambda body: is_urgent(body, settings.slack_stop_reaction),
            )
            app = _bolt(settings, client, Sealing(ground.keyring.seal, redact.known), inbox)
            register_listeners(app, desks, inbox, settings.slack_stop_reaction)
            yield Parts(
                app,
                ground.store,
                fleet,
                Recovery(world, service, fleet),
                inbox,
                outbox,
                _catch_up(ground, desks, slack, identity),
                desks.home,
                doctor,
                ground.denials,
            )


@asynccontextmanager
async def _ground(settings: Settings, redact: Redactor) -> AsyncIterator[_Ground]:
    async with AsyncExitStack() as stack:
        data_dir = settings.data_dir.resolve()
        store = await SqlStore.open(settings.database, data_dir)
        stack.push_async_callback(store.close)
        store.hide = redact
        store.retention.keep_days = settings.retention_days
        points = CrashPoints(settings.crash_at)
        watched = points.around("store", store)
        keyring = await _keyring(store, settings, redact)
        runtime = await stack.enter_async_context(
            DockerRuntime(instance_id(data_dir), engine_runtime=settings.container_runtime)
        )
        await runtime.check(settings.bridge_image)
        stack.push_async_callback(_tidy, runtime)
        session = await stack.enter_async_context(_session())
        voice = SlackVoice(settings.slack_stop_reaction, redact.holds)
        accountant = Accountant(watched, voice, settings)
        gateway = await stack.enter_async_context(
            _gateway(settings, session, store, keyring, accountant, runtime)
        )
        denials = Denials(watched, voice)
        gateway.denied = denials.note
        yield _Ground(
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


def _outbox(ground: _Ground, slack: AsyncWebClient, identity: Identity) -> Outbox:
    outbox = Outbox(
        ground.points.around("outbox", ground.store.outbox_rows),
        slack,
        bot_name=identity.bot_name,
        on_dead=_undeliverable,
    )
    ground.store.on_enqueued = outbox.wake
    return outbox


def _world(ground: _Ground, slack: AsyncWebClient, outbox: Outbox, doctor: Doctor) -> World:
    settings, points, redact = ground.settings, ground.points, ground.redact
    return World(
        settings=settings,
        store=ground.watched,
        outbox=outbox,
        runtime=points.around("runtime", ground.runtime),
        bridge=points.around("bridge", HttpBridge(ground.session, hide=redact)),
        gateway=points.around("gateway", ground.gateway),
        voice=ground.voice,
        bridge_token=redact.hiding(ground.gateway.tokens.bridge_token),
        variables=ground.keyring.variables,
        hide=redact.known,
        files=SlackFiles(slack, ground.session, settings.slack_bot_token),
        examine=doctor.examine,
    )


def _desks(
    ground: _Ground,
    world: World,
    service: AgentService,
    gate: Gate,
    slack: AsyncWebClient,
    identity: Identity,
) -> Desks:
    gateway, store = ground.gateway, ground.store
    desks = open_desks(
        service,
        gate,
        ground.keyring,
        store.usage_rows,
        world,
        slack,
        publishing=Publishing(
            world, gateway.pulls, gateway.writer, service.results, store.thread_rows
        ),
        workspace_url=identity.workspace_url,
    )
    store.on_saved = desks.home.changed
    return desks


def _catch_up(ground: _Ground, desks: Desks, slack: AsyncWebClient, identity: Identity) -> CatchUp:
    return CatchUp(
        ground.store.thread_rows,
        desks.words,
        slack,
        bot_user_id=identity.bot_user_id,
        stop_reaction=ground.settings.slack_stop_reaction,
    )


def _bolt(settings: Settings, client: AsyncWebClient, sealing: Sealing, inbox: Inbox) -> AsyncApp:
    app = AsyncApp(
        client=client,
        signing_secret=settings.slack_signing_secret.get_secret_value() or None,
        request_verification_enabled=not settings.socket_mode,
    )
    app.use(sealing.middleware)
    app.use(inbox.middleware)
    return app


@asynccontextmanager
async def _gateway(
    settings: Settings,
    session: aiohttp.ClientSession,
    store: SqlStore,
    keyring: Keyring,
    accountant: Accountant,
    runtime: DockerRuntime,
) -> AsyncIterator[HostGateway]:
    """The gateway, which knows the agents that are alive before it listens."""
    gateway = HostGateway(settings, settings.data_dir.resolve(), session)
    gateway.credentials = keyring
    keyring.key_check = KeyCheck(session, settings.openrouter_base_url)
    # Calls that a killed bot has left open count at their worst case.
    await store.usage_rows.settle_open()
    gateway.account_with(accountant)
    # Containers that worked on meanwhile ask at once; a refused token would end their tasks.
    for agent in await store.agents():
        await gateway.open(agent.id, agent.repo)
    if await is_sealed(runtime.why_not_sealed, settings):
        await gateway.start_sealed()
    else:
        await gateway.start(settings.gateway_host or await runtime.network_gateway())
    try:
        yield gateway
    finally:
        await gateway.stop()


async def _keyring(store: SqlStore, settings: Settings, redact: Redactor) -> Keyring:
    """What people have stored; raises ConfigurationError when the key to it is another one."""
    vault = open_vault(settings.data_dir.resolve(), settings.secrets_key.get_secret_value())
    redact.add(*vault.keys)
    keyring = Keyring(store.secret_rows, store, vault, redact, time.time)
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


async def _undeliverable(agent_id: str, key: str, code: str) -> None:
    logger.error("%s of agent %s will never be shown: %s", key, agent_id, code)


def instance_id(data_dir: Path) -> str:
    """The name of this deployment on its engine, made once."""
    path = data_dir / "instance"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        made = secrets.token_hex(4)
        path.write_text(f"{made}\n")
        return made
