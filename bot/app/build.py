"""Puts the parts together: the only module that knows every part.

A part is opened by the function that makes it, and closed at the end of that function's block, in
the opposite order; nobody else closes it.
"""

import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.access.billing import Billing
from bot.agents.access.encryption import open_cipher
from bot.agents.access.secrets import Secrets
from bot.agents.context import Dependencies
from bot.agents.egress_notices import EgressNotices
from bot.agents.lifecycle.background_loops import FailingLoop
from bot.agents.lifecycle.fleet import Fleet
from bot.agents.ports.store import Outbox
from bot.agents.publishing import Publishing
from bot.agents.reconcile import Reconciler
from bot.agents.service import AgentService
from bot.app.control_socket import listen_for_operator
from bot.app.fault_injection import CrashPoints
from bot.app.health import HealthChecks, hidden
from bot.bridge_client import HttpBridge
from bot.config import Settings
from bot.domain.agent import RepoRef
from bot.domain.health import Examined
from bot.domain.policy import Action
from bot.errors import BotError
from bot.gateway.model.key_check import KeyCheck
from bot.gateway.server import HostGateway
from bot.redaction import Redactor
from bot.runtime.docker import DockerRuntime
from bot.runtime.survey import why_open
from bot.slack.backfill import Backfill
from bot.slack.events import is_urgent
from bot.slack.files import SlackFiles
from bot.slack.handlers.register import Handlers, register_handlers
from bot.slack.identity import Identity, SlackPeople, identify, slack_client
from bot.slack.inbox import Inbox
from bot.slack.outbox.sender import OutboxSender
from bot.slack.outbox.undeliverable import Undeliverable
from bot.slack.secret_middleware import SecretMiddleware
from bot.slack.views.presenter import SlackPresenter
from bot.store.agents import SqlStore

logger = logging.getLogger(__name__)

# More than all agents together need at a time; a call that waits for a connection looks stuck.
CONNECTIONS = 1_000
# The checks only ask the engine, so their runtime needs no name of a core.
_CHECKS_INSTANCE = "doctor"


@dataclass(frozen=True, slots=True)
class CoreParts:
    """The parts that need no Slack: enough to stop an agent while no bot runs."""

    settings: Settings
    redact: Redactor
    crash_points: CrashPoints
    store: SqlStore
    runtime: DockerRuntime
    session: aiohttp.ClientSession
    gateway: HostGateway
    presenter: SlackPresenter

    @property
    def watched_store(self) -> SqlStore:
        """The store with its crash points."""
        return self.crash_points.around("store", self.store)

    def dependencies(self, outbox: Outbox) -> Dependencies:
        """Returns what the product is given, with this sender of its posts."""
        points, redact = self.crash_points, self.redact
        return Dependencies(
            settings=self.settings,
            store=self.watched_store,
            outbox=outbox,
            runtime=points.around("runtime", self.runtime),
            bridge=points.around("bridge", HttpBridge(self.session, hide=redact)),
            gateway=points.around("gateway", self.gateway),
            presenter=self.presenter,
            bridge_token=redact.hiding(self.gateway.tokens.bridge_token),
            hide=redact.known,
        )


@dataclass(frozen=True, slots=True)
class Application:
    """The parts that `serve` starts, works with and ends."""

    app: AsyncApp
    store: SqlStore
    fleet: Fleet
    reconciler: Reconciler
    inbox: Inbox
    outbox: OutboxSender
    backfill: Backfill
    handlers: Handlers
    health_checks: HealthChecks
    egress_notices: EgressNotices


@asynccontextmanager
async def open_core(
    settings: Settings, redact: Redactor, instance: str = ""
) -> AsyncIterator[CoreParts]:
    """Opens what a deployment has without Slack; its gateway does not listen yet.

    `instance` is the deployment's name on its engine, made at the first start of the bot. Raises
    ConfigurationError, EngineError or StoreUnavailable.
    """
    data_dir = settings.data_dir.resolve()
    async with AsyncExitStack() as stack:
        store = await SqlStore.open(settings.database, data_dir)
        stack.push_async_callback(store.close)
        store.hide = redact
        store.retention.set_days(settings.retention_days, settings.usage_days)
        runtime = await stack.enter_async_context(
            DockerRuntime(
                instance or instance_id(data_dir), engine_runtime=settings.container_runtime
            )
        )
        session = await stack.enter_async_context(_open_session())
        yield CoreParts(
            settings,
            redact,
            CrashPoints(settings.crash_at),
            store,
            runtime,
            session,
            HostGateway(settings, data_dir, session),
            SlackPresenter(
                settings.slack_stop_reaction, redact.holds, native=settings.slack_plan_blocks
            ),
        )


@asynccontextmanager
async def open_application(
    settings: Settings, redact: Redactor, failing_loops: Callable[[], Sequence[FailingLoop]]
) -> AsyncIterator[Application]:
    """Opens every part of a bot; its gateway and the operator's socket listen then.

    Raises ConfigurationError, EngineError or StoreUnavailable.
    """
    async with AsyncExitStack() as stack:
        core = await stack.enter_async_context(open_core(settings, redact))
        await core.runtime.check(settings.bridge_image)
        stack.push_async_callback(_remove_network, core.runtime)
        stored_secrets = await _open_secrets(core)
        egress_notices = EgressNotices(core.watched_store, core.presenter)
        await stack.enter_async_context(_listening(core, stored_secrets, egress_notices))
        client = slack_client(settings, core.session)
        identity = await identify(client)
        slack = core.crash_points.around("slack", client)
        outbox = _outbox(core, slack, identity)
        health_checks = HealthChecks(settings, core.session, core.runtime, loops=failing_loops)
        dependencies = replace(
            core.dependencies(outbox),
            variables=stored_secrets.variables,
            fetch_file=SlackFiles(slack, core.session, settings.slack_bot_token).fetch,
            examine=health_checks.examine,
        )
        fleet = Fleet(dependencies)
        core.store.on_left = fleet.place_freed.set
        service = AgentService(dependencies, fleet)
        authorization = Authorization(dependencies, SlackPeople(slack, identity.team))
        await stack.enter_async_context(
            listen_for_operator(
                settings.data_dir.resolve(), _operator_stop(service, authorization), failing_loops
            )
        )
        inbox = _inbox(core)
        app = _bolt_app(
            settings, client, SecretMiddleware(stored_secrets.seal, redact.known), inbox
        )
        handlers = register_handlers(
            app,
            inbox,
            service,
            authorization,
            dependencies,
            slack,
            stored_secrets=stored_secrets,
            publishing=_publishing(core, dependencies, service),
            workspace_url=identity.workspace_url,
        )
        core.store.on_saved = handlers.note_change
        yield Application(
            app,
            core.store,
            fleet,
            Reconciler(dependencies, service, fleet),
            inbox,
            outbox,
            _backfill(core, handlers, slack, identity),
            handlers,
            health_checks,
            egress_notices,
        )


@asynccontextmanager
async def open_health_checks(settings: Settings) -> AsyncIterator[HealthChecks]:
    """Opens the checks of a deployment from outside its bot; nothing of it is made or changed."""
    async with _open_session() as session, DockerRuntime(_CHECKS_INSTANCE) as runtime:
        yield HealthChecks(settings, session, runtime)


async def examine_deployment(
    settings: Settings, channels: Sequence[str] = (), repositories: Sequence[RepoRef] = ()
) -> Sequence[Examined]:
    """Examines a deployment from outside its bot; the findings hold no secret of the settings."""
    async with open_health_checks(settings) as health_checks:
        return hidden(await health_checks.examine(channels, repositories), settings)


async def _open_secrets(core: CoreParts) -> Secrets:
    """Reads the stored secrets; raises ConfigurationError when their key is another one."""
    settings, store, redact = core.settings, core.store, core.redact
    cipher = open_cipher(settings.data_dir.resolve(), settings.secrets_key.get_secret_value())
    redact.add(*cipher.keys)
    stored_secrets = Secrets(store, cipher, redact, time.time)
    await stored_secrets.open()
    return stored_secrets


@asynccontextmanager
async def _listening(
    core: CoreParts, stored_secrets: Secrets, egress_notices: EgressNotices
) -> AsyncIterator[None]:
    """Lets the gateway listen, once it knows the agents that are alive."""
    settings, store, runtime = core.settings, core.store, core.runtime
    gateway = core.gateway
    gateway.credentials = stored_secrets
    gateway.denied = egress_notices.note
    key_check = KeyCheck(core.session, settings.openrouter_base_url)
    stored_secrets.check_key = key_check.check_key
    # Calls that a killed bot has left open count at their worst case.
    await store.usage_rows.settle_open()
    gateway.read_agents_by(store.agent)
    gateway.account_with(Billing(core.watched_store, core.presenter, settings))
    # Containers that worked on meanwhile ask at once; a refused token would end their tasks.
    for agent in await store.agents():
        await gateway.open(agent.id, agent.repo)
    if reason := await why_open(runtime.why_not_sealed, settings):
        logger.warning("the containers' network is open: %s", reason)
        await gateway.start(settings.gateway_host or await runtime.network_gateway())
    else:
        await gateway.start_sealed()
    try:
        yield
    finally:
        await gateway.stop()


def _outbox(core: CoreParts, slack: AsyncWebClient, identity: Identity) -> OutboxSender:
    store, presenter = core.watched_store, core.presenter
    outbox = OutboxSender(
        core.crash_points.around("outbox", core.store.outbox_rows),
        slack,
        bot_name=identity.bot_name,
        on_dead=Undeliverable(store, presenter, slack).note_refusal,
    )
    core.store.on_enqueued = outbox.wake
    return outbox


def _operator_stop(
    service: AgentService, authorization: Authorization
) -> Callable[[str], Awaitable[None]]:
    async def stop(agent_id: str) -> None:
        await service.stop(agent_id, "")
        await authorization.note(Action.STOP, "operator", agent_id)

    return stop


def _inbox(core: CoreParts) -> Inbox:
    stop_reaction = core.settings.slack_stop_reaction
    rows = core.crash_points.around("inbox", core.store.inbox_rows)
    return Inbox(rows, lambda body: is_urgent(body, stop_reaction))


def _bolt_app(
    settings: Settings, client: AsyncWebClient, sealing: SecretMiddleware, inbox: Inbox
) -> AsyncApp:
    app = AsyncApp(
        name="threadsmith",  # Bolt would look for one in the stack, which reads every source file
        client=client,
        signing_secret=settings.slack_signing_secret.get_secret_value() or None,
        request_verification_enabled=not settings.socket_mode,
    )
    app.use(sealing.middleware)
    app.use(inbox.middleware)
    return app


def _publishing(core: CoreParts, dependencies: Dependencies, service: AgentService) -> Publishing:
    pulls = core.crash_points.around("pulls", core.gateway.pulls)
    write = core.gateway.writer.write
    return Publishing(dependencies, pulls, write, service.results, core.store.speakers)


def _backfill(
    core: CoreParts, handlers: Handlers, slack: AsyncWebClient, identity: Identity
) -> Backfill:
    return Backfill(
        core.store.to_read,
        handlers.threads,
        handlers.buttons,
        slack,
        bot_user_id=identity.bot_user_id,
        stop_reaction=core.settings.slack_stop_reaction,
    )


@asynccontextmanager
async def _open_session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(connector=connector, trust_env=True) as session:
        yield session


async def _remove_network(runtime: DockerRuntime) -> None:
    """Removes the network when no agent needs it; the next start makes it again."""
    try:
        await runtime.forget_network()
    except BotError as error:
        logger.warning("the network of this deployment is still there: %s", error)


def instance_id(data_dir: Path) -> str:
    """Returns the name of this deployment on its engine, which the first call makes."""
    path = data_dir / "instance"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        instance = secrets.token_hex(4)
        path.write_text(f"{instance}\n")
        return instance
