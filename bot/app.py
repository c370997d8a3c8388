"""The composition root: the only file that knows every part and puts them together."""

import asyncio
import logging
import secrets
import signal
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
from bot.slack.connection import SocketConnection
from bot.slack.desks import open_desks
from bot.slack.files import SlackFiles
from bot.slack.home_desk import HomeDesk
from bot.slack.identity import identify, slack_client
from bot.slack.inbox import Inbox
from bot.slack.incoming import is_urgent
from bot.slack.listeners import register_listeners
from bot.slack.outbox import Outbox
from bot.slack.people import SlackPeople
from bot.slack.render.voice import SlackVoice
from bot.slack.sealing import Sealing
from bot.store.owner import owned
from bot.store.store import SqlStore
from bot.vault import open_vault

logger = logging.getLogger(__name__)

PRUNE_SECONDS = 3_600.0
DRAIN_SECONDS = 5.0
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


async def serve(settings: Settings, redact: Redactor) -> None:
    """Run the bot until SIGINT or SIGTERM; raises ConfigurationError or EngineError at start."""
    settings.check_tokens()
    async with owned(settings.database, settings.data_dir.resolve()):
        await _serve(settings, redact)


async def _serve(settings: Settings, redact: Redactor) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with _assembled(settings, redact) as parts, asyncio.TaskGroup() as group:
        sending = group.create_task(parts.outbox.run())
        recovering = group.create_task(parts.recovery.run())
        pruning = group.create_task(_prune_for_ever(parts.store))
        catching_up = group.create_task(parts.catch_up.serve())
        showing = group.create_task(parts.home.serve())
        admitting = group.create_task(parts.fleet.admit_for_ever())
        telling = group.create_task(parts.denials.run())
        # What was stored is older than anything that is about to arrive.
        await parts.inbox.replay(parts.app)
        async with _connected(settings, parts):
            parts.catch_up.missed()
            logger.info("ready")
            await stop.wait()
            logger.info("stopping; the containers work on")
        for task in (recovering, pruning, catching_up, admitting, showing, telling):
            task.cancel()
        await parts.fleet.close()
        await parts.outbox.drain(DRAIN_SECONDS)
        sending.cancel()


@asynccontextmanager
async def _assembled(settings: Settings, redact: Redactor) -> AsyncIterator[Parts]:
    async with AsyncExitStack() as stack:
        data_dir = settings.data_dir.resolve()
        store = await SqlStore.open(settings.database, data_dir)
        stack.push_async_callback(store.close)
        store.hide = redact
        keyring = await _keyring(store, settings, redact)
        points = CrashPoints(settings.crash_at)
        watched = points.around("store", store)
        runtime = await stack.enter_async_context(
            DockerRuntime(instance_id(data_dir), engine_runtime=settings.container_runtime)
        )
        await runtime.check(settings.bridge_image)
        stack.push_async_callback(_tidy, runtime)
        session = await stack.enter_async_context(_session())
        voice = SlackVoice(settings.slack_stop_reaction, redact.holds)
        gateway = await stack.enter_async_context(
            _gateway(
                settings, session, store, keyring, Accountant(watched, voice, settings), runtime
            )
        )
        denials = Denials(watched, voice)
        gateway.denied = denials.note
        client = slack_client(settings, session)
        identity = await identify(client)
        slack = points.around("slack", client)
        outbox = Outbox(
            points.around("outbox", store.outbox_rows),
            slack,
            bot_name=identity.bot_name,
            on_dead=_undeliverable,
        )
        store.on_enqueued = outbox.wake
        doctor = Doctor(settings, session, runtime)
        world = World(
            settings=settings,
            store=watched,
            outbox=outbox,
            runtime=points.around("runtime", runtime),
            bridge=points.around("bridge", HttpBridge(session, hide=redact)),
            gateway=points.around("gateway", gateway),
            voice=voice,
            bridge_token=redact.hiding(gateway.tokens.bridge_token),
            variables=keyring.variables,
            hide=redact.known,
            files=SlackFiles(slack, session, settings.slack_bot_token),
            examine=doctor.examine,
        )
        fleet = Fleet(world)
        store.on_left = fleet.somebody_left.set
        service = AgentService(world, fleet)
        gate = Gate(world, SlackPeople(slack, identity.team))

        async def stop_agent(agent_id: str) -> None:
            await service.stop(agent_id, "")
            await gate.note(Action.STOP, "operator", agent_id)

        await stack.enter_async_context(listening(data_dir, stop_agent))
        desks = open_desks(
            service,
            gate,
            keyring,
            store.usage_rows,
            world,
            slack,
            publishing=Publishing(
                world, gateway.pulls, gateway.writer, service.results, store.thread_rows
            ),
            workspace_url=identity.workspace_url,
        )
        store.on_saved = desks.home.changed
        stop_reaction = settings.slack_stop_reaction
        inbox_rows = points.around("inbox", store.inbox_rows)
        inbox = Inbox(inbox_rows, lambda body: is_urgent(body, stop_reaction))
        catch_up = CatchUp(
            store.thread_rows,
            desks.words,
            slack,
            bot_user_id=identity.bot_user_id,
            stop_reaction=stop_reaction,
        )
        store.retention.keep_days = settings.retention_days
        app = _bolt(settings, client, Sealing(keyring.seal, redact.known), inbox)
        register_listeners(app, desks, inbox, stop_reaction)
        yield Parts(
            app,
            store,
            fleet,
            Recovery(world, service, fleet),
            inbox,
            outbox,
            catch_up,
            desks.home,
            doctor,
            denials,
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


@asynccontextmanager
async def _connected(settings: Settings, parts: Parts) -> AsyncIterator[None]:
    """Receive events: over a socket that we open, or on a port that Slack calls."""
    if settings.socket_mode:
        app_token = settings.slack_app_token.get_secret_value()
        connection = SocketConnection(parts.app, app_token, parts.catch_up.missed)
        parts.doctor.sockets = lambda: connection.sockets
        async with connection.running():
            logger.info("connected to Slack by Socket Mode")
            yield
        return
    server = parts.app.server(port=settings.slack_http_port, path="/slack/events")
    runner = aiohttp.web.AppRunner(server.web_app)
    await runner.setup()
    try:
        host, port = settings.slack_http_host, settings.slack_http_port
        await aiohttp.web.TCPSite(runner, host, port).start()
        logger.info("listening for Slack on http://%s:%d/slack/events", host, port)
        yield
    finally:
        await runner.cleanup()


async def _prune_for_ever(store: SqlStore) -> None:
    while True:
        try:
            pruned = await store.retention.prune(time.time())
            if pruned.total:
                logger.info("%d rows were of no more use", pruned.total)
        except BotError as error:
            logger.warning("cannot tidy the database: %s", error)
        await asyncio.sleep(PRUNE_SECONDS)


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
