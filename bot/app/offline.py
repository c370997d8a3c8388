"""Stops an agent while no bot runs: as the bot does it, its thread is told at the next start."""

from bot.agents.lifecycle.fleet import Fleet
from bot.agents.service import AgentService
from bot.app.build import open_core
from bot.config import Settings
from bot.errors import ChannelUnavailable
from bot.redaction import Redactor
from bot.store.ownership import owned

_OWNER_SECONDS = 2.0


class _NoSlack:
    """Sends nothing: the posts wait for the next bot."""

    async def sent(self, agent_id: str, key: str, timeout_seconds: float) -> str:
        """Raises ChannelUnavailable, because no bot sends it."""
        del agent_id, key, timeout_seconds
        raise ChannelUnavailable("No bot runs.")


async def stop_offline(settings: Settings, instance: str, agent_id: str) -> None:
    """Keeps what changed, removes the container, and leaves the thread's notice in the outbox.

    Nothing is pushed: that takes the gateway. Raises UserError, or ConfigurationError when another
    process works with this data.
    """
    unpushed = settings.model_copy(update={"push_branches": False})
    async with (
        owned(settings.database, settings.data_dir.resolve(), wait_seconds=_OWNER_SECONDS),
        open_core(unpushed, Redactor(settings.secrets), instance) as core,
    ):
        dependencies = core.dependencies(_NoSlack())
        fleet = Fleet(dependencies)
        try:
            await AgentService(dependencies, fleet).stop(agent_id, "")
        finally:
            await fleet.close()
