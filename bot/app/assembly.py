"""The composition root: the only file that knows every part and puts them together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.agents.access.authorization import Authorization
from bot.agents.context import Dependencies
from bot.agents.egress_notices import EgressNotices
from bot.agents.lifecycle.background_loops import LoopSupervisor
from bot.agents.lifecycle.fleet import Fleet
from bot.agents.publishing import Publishing
from bot.agents.reconcile import Reconciler
from bot.agents.service import AgentService
from bot.app.build import Foundation, founded
from bot.app.control_socket import listening
from bot.app.health import HealthChecks
from bot.bridge_client import HttpBridge
from bot.config import Settings
from bot.domain.policy import Action
from bot.redaction import Redactor
from bot.slack.backfill import Backfill
from bot.slack.events import is_urgent
from bot.slack.files import SlackFiles
from bot.slack.handlers.register import Handlers, register_handlers
from bot.slack.identity import Identity, SlackPeople, identify, slack_client
from bot.slack.inbox import Inbox
from bot.slack.outbox.sender import OutboxSender
from bot.slack.outbox.undeliverable import Undeliverable
from bot.slack.secret_middleware import SecretMiddleware
from bot.store.agents import SqlStore


@dataclass(frozen=True, slots=True)
class Application:
    """Everything that runs."""

    app: AsyncApp
    store: SqlStore
    fleet: Fleet
    recovery: Reconciler
    inbox: Inbox
    outbox: OutboxSender
    catch_up: Backfill
    handlers: Handlers
    doctor: HealthChecks
    denials: EgressNotices
    loops: LoopSupervisor


@asynccontextmanager
async def assembled(settings: Settings, redact: Redactor) -> AsyncIterator[Application]:
    """Every part, open and put together; closes them in the opposite order."""
    async with founded(settings, redact) as ground:
        client = slack_client(settings, ground.session)
        identity = await identify(client)
        slack = ground.points.around("slack", client)
        outbox = _outbox(ground, slack, identity)
        loops = LoopSupervisor()
        doctor = HealthChecks(settings, ground.session, ground.runtime, loops=loops.failing)
        world = _world(ground, slack, outbox, doctor)
        fleet = Fleet(world)
        ground.store.on_left = fleet.place_freed.set
        service = AgentService(world, fleet)
        gate = Authorization(world, SlackPeople(slack, identity.team))

        async def stop_agent(agent_id: str) -> None:
            await service.stop(agent_id, "")
            await gate.note(Action.STOP, "operator", agent_id)

        async with listening(settings.data_dir.resolve(), stop_agent, loops.failing):
            inbox = Inbox(
                ground.points.around("inbox", ground.store.inbox_rows),
                lambda body: is_urgent(body, settings.slack_stop_reaction),
            )
            app = _bolt(
                settings, client, SecretMiddleware(ground.keyring.seal, redact.known), inbox
            )
            handlers = _handlers(
                ground, world, service, gate, slack, identity, app=app, inbox=inbox
            )
            yield Application(
                app,
                ground.store,
                fleet,
                Reconciler(world, service, fleet),
                inbox,
                outbox,
                _catch_up(ground, handlers, slack, identity),
                handlers,
                doctor,
                ground.denials,
                loops,
            )


def _outbox(ground: Foundation, slack: AsyncWebClient, identity: Identity) -> OutboxSender:
    outbox = OutboxSender(
        ground.points.around("outbox", ground.store.outbox_rows),
        slack,
        bot_name=identity.bot_name,
        on_dead=Undeliverable(ground.watched, ground.voice, slack).note,
    )
    ground.store.on_enqueued = outbox.wake
    return outbox


def _world(
    ground: Foundation, slack: AsyncWebClient, outbox: OutboxSender, doctor: HealthChecks
) -> Dependencies:
    settings, points, redact = ground.settings, ground.points, ground.redact
    return Dependencies(
        settings=settings,
        store=ground.watched,
        outbox=outbox,
        runtime=points.around("runtime", ground.runtime),
        bridge=points.around("bridge", HttpBridge(ground.session, hide=redact)),
        gateway=points.around("gateway", ground.gateway),
        presenter=ground.voice,
        bridge_token=redact.hiding(ground.gateway.tokens.bridge_token),
        variables=ground.keyring.variables,
        hide=redact.known,
        fetch_file=SlackFiles(slack, ground.session, settings.slack_bot_token).fetch,
        examine=doctor.examine,
    )


def _handlers(  # noqa: PLR0913  (listeners need the parts of three layers)
    ground: Foundation,
    world: Dependencies,
    service: AgentService,
    gate: Authorization,
    slack: AsyncWebClient,
    identity: Identity,
    *,
    app: AsyncApp,
    inbox: Inbox,
) -> Handlers:
    points, gateway, store = ground.points, ground.gateway, ground.store
    pulls = points.around("pulls", gateway.pulls)
    handlers = register_handlers(
        app,
        inbox,
        service,
        gate,
        world,
        slack,
        stored_secrets=ground.keyring,
        usage=store.usage_rows,
        publishing=Publishing(world, pulls, gateway.writer.write, service.results, store.speakers),
        workspace_url=identity.workspace_url,
    )
    store.on_saved = handlers.note_change
    return handlers


def _catch_up(
    ground: Foundation, handlers: Handlers, slack: AsyncWebClient, identity: Identity
) -> Backfill:
    return Backfill(
        ground.store.to_read,
        handlers,
        slack,
        bot_user_id=identity.bot_user_id,
        stop_reaction=ground.settings.slack_stop_reaction,
    )


def _bolt(
    settings: Settings, client: AsyncWebClient, sealing: SecretMiddleware, inbox: Inbox
) -> AsyncApp:
    app = AsyncApp(
        client=client,
        signing_secret=settings.slack_signing_secret.get_secret_value() or None,
        request_verification_enabled=not settings.socket_mode,
    )
    app.use(sealing.middleware)
    app.use(inbox.middleware)
    return app
