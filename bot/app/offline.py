"""Stops an agent while no bot runs: as the bot does it, its thread is told at the next start."""

import time
from contextlib import AsyncExitStack

import aiohttp

from bot.agents.context import Dependencies
from bot.agents.lifecycle.fleet import Fleet
from bot.agents.service import AgentService
from bot.bridge_client import HttpBridge
from bot.config import Settings
from bot.errors import ChannelUnavailable
from bot.gateway.server import HostGateway
from bot.redaction import Redactor
from bot.runtime.docker import DockerRuntime
from bot.slack.views.presenter import SlackPresenter
from bot.store.agents import SqlStore
from bot.store.ownership import owned

_OWNER_SECONDS = 2.0


class _NoSlack:
    """An outbox whose posts wait for the next bot."""

    async def sent(self, agent_id: str, key: str, timeout_seconds: float) -> str:
        """Nothing is sent here."""
        del agent_id, key, timeout_seconds
        raise ChannelUnavailable("No bot runs.")


async def stop_offline(settings: Settings, instance: str, agent_id: str) -> None:
    """Keep what changed, remove the container, and leave the words for the thread in the outbox.

    Nothing is pushed: that takes the gateway. Raises UserError, or ConfigurationError when another
    process works with this data.
    """
    data_dir = settings.data_dir.resolve()
    redact = Redactor(settings.secrets)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            owned(settings.database, data_dir, wait_seconds=_OWNER_SECONDS)
        )
        store = await SqlStore.open(settings.database, data_dir)
        stack.push_async_callback(store.close)
        store.hide = redact
        session = await stack.enter_async_context(aiohttp.ClientSession())
        runtime = await stack.enter_async_context(DockerRuntime(instance))
        gateway = HostGateway(settings, data_dir, session)
        world = Dependencies(
            settings=settings.model_copy(update={"push_branches": False}),
            store=store,
            outbox=_NoSlack(),
            runtime=runtime,
            bridge=HttpBridge(session, hide=redact),
            gateway=gateway,
            presenter=SlackPresenter(
                settings.slack_stop_reaction, redact.holds, native=settings.slack_plan_blocks
            ),
            bridge_token=redact.hiding(gateway.tokens.bridge_token),
            clock=time.time,
            hide=redact.known,
        )
        fleet = Fleet(world)
        try:
            await AgentService(world, fleet).stop(agent_id, "")
        finally:
            await fleet.close()
