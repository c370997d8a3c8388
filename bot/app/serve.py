"""Runs the bot: its parts come up in order, work side by side, and end in order."""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from bot.agents.lifecycle.background_loops import Loop, LoopSupervisor
from bot.app.build import Application, open_application
from bot.config import Settings
from bot.errors import BotError
from bot.gateway.connections import IDLE_SECONDS, raise_descriptor_limit
from bot.redaction import Redactor
from bot.slack.socket_mode import SocketConnection
from bot.store.agents import SqlStore
from bot.store.ownership import owned

logger = logging.getLogger(__name__)

PRUNE_SECONDS = 3_600.0
# It sends the last posts of the other loops, so it ends last.
OUTBOX = "outbox"
DRAIN_SECONDS = 5.0


async def serve(settings: Settings, redact: Redactor) -> None:
    """Runs the bot until SIGINT or SIGTERM; raises ConfigurationError or EngineError at start."""
    settings.check_tokens()
    logger.info("the bot may open %d files at a time", raise_descriptor_limit())
    async with owned(settings.database, settings.data_dir.resolve()):
        await _serve(settings, redact)


async def _serve(settings: Settings, redact: Redactor) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    loops = LoopSupervisor()
    async with open_application(settings, redact, loops.failing) as parts:
        background = background_loops(parts)
        try:
            for name, background_loop in background.items():
                loops.start(name, background_loop)
            # What was stored is older than anything that is about to arrive.
            await parts.inbox.replay(parts.app)
            async with _connected(settings, parts):
                parts.backfill.note_missed()
                logger.info("ready")
                await stop.wait()
                logger.info("stopping; the containers work on")
            await loops.cancel(*(name for name in background if name != OUTBOX))
            await parts.fleet.close()
            await parts.outbox.drain(DRAIN_SECONDS)
        finally:
            await loops.cancel()


def background_loops(parts: Application) -> Mapping[str, Loop]:
    """Lists every loop that lives as long as the bot; a failure of one starts that one again.

    None of these ends the process: each goes on from what is stored, and a bot that does the rest
    is worth more than one that starts again and again. What must end it stands elsewhere: the
    settings, the engine, a database that is newer or cannot be used raise at the start, before
    any of these run, and so does the replay of the inbox when the database fails; the heartbeat
    of the ownership (`store.ownership`) cuts off `serve`, because another process owns the data
    then. The watch over Slack's socket (`slack.socket_mode`) outlives a failure of each round by
    itself.
    """
    return {
        OUTBOX: parts.outbox.run,
        **parts.reconciler.loops(),
        "retention": lambda: _prune_for_ever(parts.store),
        "catch-up": parts.backfill.serve,
        **parts.handlers.loops(),
        "admission": parts.fleet.admit_for_ever,
        "denials": parts.egress_notices.run,
    }


@asynccontextmanager
async def _connected(settings: Settings, parts: Application) -> AsyncIterator[None]:
    """Receives events: over a socket that we open, or on a port that Slack calls."""
    if settings.socket_mode:
        app_token = settings.slack_app_token.get_secret_value()
        connection = SocketConnection(parts.app, app_token, parts.backfill.note_missed)
        parts.health_checks.sockets = lambda: connection.sockets
        async with connection.running():
            logger.info("connected to Slack by Socket Mode")
            yield
        return
    server = parts.app.server(port=settings.slack_http_port, path="/slack/events")
    # Its usual hour is what half a request could take, too.
    runner = aiohttp.web.AppRunner(server.web_app, keepalive_timeout=IDLE_SECONDS)
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
