"""A socket in the data directory, by which a command asks the running bot to act.

Only the owner of the data directory can open it. A stop is done as one by Slack is, so the thread
learns of it and the container's state is saved.
"""

import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from pathlib import Path

import aiohttp
from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from bot.agents.lifecycle.background_loops import FailingLoop
from bot.errors import BotError, UserError
from bot.files import socket_address

logger = logging.getLogger(__name__)

NAME = "control.sock"
# A stop ends tools, reads what changed and removes a container.
ASK_SECONDS = 60.0
LOOPS_SECONDS = 5.0
_REFUSED, _FAILED = 409, 500
_FAILING = TypeAdapter(list[FailingLoop])


@asynccontextmanager
async def listen_for_operator(
    data_dir: Path,
    stop: Callable[[str], Awaitable[None]],
    failing: Callable[[], Sequence[FailingLoop]],
) -> AsyncIterator[None]:
    """Answers requests for the length of a block; `stop` raises UserError when it refuses.

    `failing` returns the background loops that fail again and again.
    """

    async def on_stop(request: web.Request) -> web.Response:
        agent_id = request.match_info["agent_id"]
        try:
            await stop(agent_id)
        except UserError as error:
            return web.json_response({"error": error.user_text}, status=_REFUSED)
        except BotError:
            logger.exception("a stop by the command failed")
            return web.json_response({"error": "The log of the bot says why."}, status=_FAILED)
        return web.json_response({})

    async def on_loops(_request: web.Request) -> web.Response:
        return web.json_response([asdict(loop) for loop in failing()])

    app = web.Application()
    app.router.add_get("/loops", on_loops)
    app.router.add_post("/agents/{agent_id}/stop", on_stop)
    runner = web.AppRunner(app, access_log=None)
    with _bound(data_dir) as listener:
        await runner.setup()
        try:
            if listener is not None:
                await web.SockSite(runner, listener).start()
            yield
        finally:
            # The server must leave the socket before it is closed.
            await runner.cleanup()


async def ask_to_stop(data_dir: Path, agent_id: str) -> None:
    """Has the running bot stop an agent; raises UserError when it refuses or does not answer."""
    timeout = aiohttp.ClientTimeout(total=ASK_SECONDS)
    try:
        with socket_address(data_dir / NAME) as path:
            connector = aiohttp.UnixConnector(path=path)
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.post(f"http://bot/agents/{agent_id}/stop") as answer,
            ):
                body = await answer.json()
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise UserError(
            f"The bot that works with {data_dir} does not answer at {NAME} ({type(error).__name__})"
            ". Stop the agent in Slack, or end the bot and try again."
        ) from error
    if answer.status != 200:  # noqa: PLR2004
        raise UserError(str(body.get("error", "The bot refused.")))


async def failing_loops(data_dir: Path) -> Sequence[FailingLoop] | None:
    """Asks the running bot for the loops that fail again and again; None when no bot answers."""
    timeout = aiohttp.ClientTimeout(total=LOOPS_SECONDS)
    try:
        with socket_address(data_dir / NAME) as path:
            connector = aiohttp.UnixConnector(path=path)
            async with (
                aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
                session.get("http://bot/loops") as answer,
            ):
                return _FAILING.validate_json(await answer.read())
    except (aiohttp.ClientError, OSError, ValidationError):
        return None


@contextmanager
def _bound(data_dir: Path) -> Iterator[socket.socket | None]:
    """Binds the socket, closed to others before anybody can connect; None where that fails.

    The data directory is this process's own, so a socket that is there is a dead one.
    """
    listener = socket.socket(socket.AF_UNIX)
    place = data_dir / NAME
    try:
        try:
            place.unlink(missing_ok=True)
            with socket_address(place) as path:
                listener.bind(path)
            place.chmod(0o600)
        except OSError as error:
            logger.warning(
                "%s cannot be made, so `threadsmith stop` will not work: %s", place, error
            )
            yield None
        else:
            yield listener
    finally:
        listener.close()
        with contextlib.suppress(OSError):
            place.unlink(missing_ok=True)
