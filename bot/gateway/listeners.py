"""Each agent's own entrance to the gateway, so that a connection says whose it is."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from aiohttp import web

from bot.errors import EngineError
from bot.gateway.egress.proxy import EgressProxy
from bot.gateway.egress.request import MAX_PROXY_HEAD_BYTES
from bot.gateway.socket_dirs import SocketDirStore
from bridge.container import EGRESS_SOCKET_NAME, GATEWAY_SOCKET_NAME

# Whose entrance a request came by; None for the port, which all share.
AGENT: web.AppKey[str | None] = web.AppKey("agent")
_SHUTDOWN_SECONDS = 2.0

_log = logging.getLogger(__name__)


async def runner_of(routes: Sequence[web.RouteDef], agent_id: str | None) -> web.AppRunner:
    """A server for these routes, which listens nowhere yet."""
    app = web.Application()
    app[AGENT] = agent_id
    app.add_routes(routes)
    runner = web.AppRunner(
        app,
        access_log=None,  # it would write the addresses of private repositories to the log
        auto_decompress=False,
        handler_cancellation=True,
        shutdown_timeout=_SHUTDOWN_SECONDS,
    )
    await runner.setup()
    return runner


@dataclass(slots=True)
class _AgentListener:
    runner: web.AppRunner
    egress: asyncio.Server | None = None
    serving: set[asyncio.Task[Any]] = field(default_factory=set)


class AgentListeners:
    """Opens and closes them. `folders` and `egress` are there where containers are sealed."""

    def __init__(
        self,
        routes: Sequence[web.RouteDef],
        folders: SocketDirStore | None = None,
        egress: EgressProxy | None = None,
    ) -> None:
        self._routes = routes
        self._folders = folders
        self._egress = egress
        self._open: dict[str, _AgentListener] = {}
        # Of one agent each: an entrance that takes long to close keeps no other one waiting.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def handler(self, agent_id: str) -> asyncio.Protocol | None:
        """A protocol for one more connection of this agent, if its entrance is open."""
        entrance = self._open.get(agent_id)
        server = entrance.runner.server if entrance else None
        return server() if server else None

    async def open(self, agent_id: str) -> None:
        """Open one; one that is open stays as it is. Raises EngineError."""
        async with self._lock_of(agent_id):
            if agent_id in self._open:
                return
            entrance = _AgentListener(await runner_of(self._routes, agent_id))
            try:
                if self._folders:
                    await self._listen(agent_id, entrance, self._folders)
            except OSError as error:
                await _shut(entrance)
                raise EngineError(
                    "The agent's sockets could not be made. Ask an admin to look at DATA_DIR.",
                    f"sockets of {agent_id}: {error}",
                ) from error
            self._open[agent_id] = entrance

    async def close(self, agent_id: str) -> None:
        """Close it, cut what is under way, and take its folders away; closed is a success."""
        async with self._lock_of(agent_id):
            entrance = self._open.pop(agent_id, None)
            if entrance:
                await _shut(entrance)
            self._forget(agent_id)

    async def sweep(self) -> None:
        """Take away the folders of agents that have no entrance."""
        # Those whose lock is in use are just being opened or closed.
        kept = {*self._open, *self._locks}
        for agent_id in self._folders.others(kept) if self._folders else ():
            self._forget(agent_id)

    async def stop(self) -> None:
        """Close all; the folders stay, because containers work on with them."""
        for lock in list(self._locks.values()):
            async with lock:  # what is just being opened is closed with the others
                pass
        entrances = list(self._open.values())
        self._open.clear()
        await asyncio.gather(*map(_shut, entrances))

    def _lock_of(self, agent_id: str) -> asyncio.Lock:
        return self._locks.setdefault(agent_id, asyncio.Lock())

    async def _listen(
        self, agent_id: str, entrance: _AgentListener, folders: SocketDirStore
    ) -> None:
        own = folders.make(agent_id)
        listener = folders.listen(own.gateway / GATEWAY_SOCKET_NAME)
        await web.SockSite(entrance.runner, listener).start()
        if self._egress:
            serve = functools.partial(_serve, self._egress, agent_id, entrance.serving)
            listener = folders.listen(own.gateway / EGRESS_SOCKET_NAME)
            entrance.egress = await asyncio.start_unix_server(
                serve, sock=listener, limit=MAX_PROXY_HEAD_BYTES
            )

    def _forget(self, agent_id: str) -> None:
        try:
            if self._folders:
                self._folders.remove(agent_id)
        except OSError as error:
            _log.warning("the sockets of %s are still there: %s", agent_id, error)


async def _serve(
    egress: EgressProxy,
    agent_id: str,
    serving: set[asyncio.Task[Any]],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    if task := asyncio.current_task():
        serving.add(task)
        task.add_done_callback(serving.discard)
    await egress.serve_connection(agent_id, reader, writer)


async def _shut(entrance: _AgentListener) -> None:
    if entrance.egress:
        entrance.egress.close()
    serving = tuple(entrance.serving)
    for task in serving:
        task.cancel()
    if serving:
        await asyncio.wait(serving)
    with contextlib.suppress(OSError):
        await entrance.runner.cleanup()
