"""Opens and closes what the gateway listens on: sockets of each agent, or one shared port.

On a sealed network every agent has sockets of its own, so a connection says whose it is. On an
open network all containers share a TCP port, which keeps its number when the bot restarts. There a
container's forwarder writes the line `THREADSMITH token` before the HTTP. A connection without that
line is served as well, because each request names its agent by its token.
"""

import asyncio
import contextlib
import errno
import functools
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.errors import ConfigurationError, EngineError
from bot.files import replace_private_file
from bot.gateway.acceptor import Acceptor
from bot.gateway.auth import GatewayAuth
from bot.gateway.connections import TUNNEL_ENDS, ConnectionTable
from bot.gateway.egress.proxy import EgressProxy
from bot.gateway.egress.request import MAX_PROXY_HEAD_BYTES
from bot.gateway.http_connections import (
    HttpConnection,
    SharedConnection,
    make_runner,
    protocol_maker,
)
from bot.gateway.socket_dirs import SocketDirStore
from bridge.container import EGRESS_SOCKET_NAME, GATEWAY_SOCKET_NAME

_BACKLOG = 128

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _AgentListener:
    runner: web.AppRunner
    acceptors: list[Acceptor] = field(default_factory=list)
    serving: set[asyncio.Task[Any]] = field(default_factory=set)


class AgentListeners:
    """Opens and closes the listeners of agents.

    `socket_dirs` and `egress` are given where containers have no network.
    """

    def __init__(
        self,
        routes: Sequence[web.RouteDef],
        auth: GatewayAuth,
        table: ConnectionTable,
        socket_dirs: SocketDirStore | None = None,
        egress: EgressProxy | None = None,
    ) -> None:
        self._routes = routes
        self._auth = auth
        self._table = table
        self._socket_dirs = socket_dirs
        self._egress = egress
        self._open: dict[str, _AgentListener] = {}
        # One lock per agent: a listener that closes slowly does not delay the others.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def protocol_for(self, agent_id: str) -> asyncio.Protocol | None:
        """Returns a protocol for one more connection of this agent, if its listener is open."""
        listener = self._open.get(agent_id)
        return protocol_maker(listener.runner)() if listener else None

    async def open_listener(self, agent_id: str) -> None:
        """Opens the agent's listener, unless it is open. Raises EngineError."""
        async with self._lock_of(agent_id):
            if agent_id in self._open:
                return
            listener = _AgentListener(await make_runner(self._routes, agent_id, self._auth))
            try:
                if self._socket_dirs:
                    await self._listen(agent_id, listener, self._socket_dirs)
            except OSError as error:
                await _shut(listener)
                raise EngineError(
                    "The agent's sockets could not be made. Ask an admin to look at DATA_DIR.",
                    f"sockets of {agent_id}: {error}",
                ) from error
            self._open[agent_id] = listener

    async def close_listener(self, agent_id: str) -> None:
        """Closes the agent's listener, cuts its connections and removes its folders, if any."""
        async with self._lock_of(agent_id):
            listener = self._open.pop(agent_id, None)
            if listener:
                await _shut(listener)
            self._remove_dirs(agent_id)

    async def remove_leftovers(self) -> None:
        """Removes the folders of agents that have no listener."""
        # Agents whose lock is in use are just being opened or closed.
        in_use = {*self._open, *self._locks}
        for agent_id in self._socket_dirs.agents_beyond(in_use) if self._socket_dirs else ():
            self._remove_dirs(agent_id)

    async def close_all(self) -> None:
        """Closes every listener; the folders stay, because containers work on with them."""
        for lock in list(self._locks.values()):
            async with lock:  # what is just being opened is closed with the others
                pass
        listeners = list(self._open.values())
        self._open.clear()
        await asyncio.gather(*map(_shut, listeners))

    def _lock_of(self, agent_id: str) -> asyncio.Lock:
        return self._locks.setdefault(agent_id, asyncio.Lock())

    async def _listen(
        self, agent_id: str, listener: _AgentListener, socket_dirs: SocketDirStore
    ) -> None:
        own = socket_dirs.make_dirs(agent_id)
        make = protocol_maker(listener.runner)

        async def serve_http(client: socket.socket) -> None:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: HttpConnection(self._table, agent_id, make()), client
            )

        server_socket = socket_dirs.listen_at(own.gateway / GATEWAY_SOCKET_NAME)
        self._accept(agent_id, listener, server_socket, serve_http)
        if self._egress:
            serve = functools.partial(self._serve_egress, self._egress, agent_id, listener.serving)
            server_socket = socket_dirs.listen_at(own.gateway / EGRESS_SOCKET_NAME)
            self._accept(agent_id, listener, server_socket, serve)

    def _accept(
        self,
        agent_id: str,
        listener: _AgentListener,
        server_socket: socket.socket,
        serve: Callable[[socket.socket], Awaitable[None]],
    ) -> None:
        again_seconds = self._table.limits.accept_again_seconds
        listener.acceptors.append(Acceptor(server_socket, serve, agent_id, again_seconds))

    async def _serve_egress(
        self,
        egress: EgressProxy,
        agent_id: str,
        serving: set[asyncio.Task[Any]],
        client: socket.socket,
    ) -> None:
        await self._table.wait_for_room(agent_id, TUNNEL_ENDS)
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=MAX_PROXY_HEAD_BYTES, loop=loop)
        serve = functools.partial(_serve, egress, agent_id, serving)
        protocol = asyncio.StreamReaderProtocol(reader, serve, loop=loop)
        await loop.connect_accepted_socket(lambda: protocol, client)

    def _remove_dirs(self, agent_id: str) -> None:
        try:
            if self._socket_dirs:
                self._socket_dirs.remove_dirs(agent_id)
        except (OSError, RecursionError) as error:  # a container may have made them very deep
            _log.warning("the sockets of %s are still there: %s", agent_id, error)


class _Remembered(BaseModel):
    model_config = ConfigDict(extra="ignore")
    port: int = Field(ge=1, le=65_535)


class SharedPort:
    """Listens on the TCP port that all containers share; the file `memory` keeps its number."""

    def __init__(
        self, auth: GatewayAuth, listeners: AgentListeners, table: ConnectionTable, memory: Path
    ) -> None:
        self._auth = auth
        self._listeners = listeners
        self._table = table
        self._memory = memory
        self._runner: web.AppRunner | None = None
        self._acceptors: list[Acceptor] = []

    async def listen(self, routes: Sequence[web.RouteDef], host: str, wanted: int) -> int:
        """Listens at the port that is wanted, remembered or free (0); raises ConfigurationError."""
        port = wanted or self._remembered_port()
        try:
            listeners = await _bind(host, port)
        except OSError as error:
            raise _cannot_listen(host, port, error, self._memory) from error
        port = int(listeners[0].getsockname()[1])
        self._runner = await make_runner(routes, None, self._auth)
        shared = protocol_maker(self._runner)

        async def serve(client: socket.socket) -> None:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: SharedConnection(
                    self._table, self._auth.agent_of, self._listeners.protocol_for, shared
                ),
                client,
            )

        again_seconds = self._table.limits.accept_again_seconds
        self._acceptors = [Acceptor(entry, serve, None, again_seconds) for entry in listeners]
        self._remember(port)
        return port

    async def stop(self) -> None:
        """Stops listening and cuts what is under way; safe to call twice."""
        for acceptor in self._acceptors:
            await acceptor.close()
        if self._runner:
            await self._runner.cleanup()

    def _remembered_port(self) -> int:
        try:
            return _Remembered.model_validate_json(self._memory.read_bytes()).port
        except FileNotFoundError:
            return 0
        except (OSError, ValidationError) as error:
            raise ConfigurationError(
                f"{self._memory} cannot be read. Set GATEWAY_PORT, or remove the file; agents that "
                "run now must then be started anew."
            ) from error

    def _remember(self, port: int) -> None:
        replace_private_file(self._memory, json.dumps({"port": port}).encode() + b"\n")


async def _bind(host: str, port: int) -> list[socket.socket]:
    """Listens at every address of this name. Raises OSError."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(asyncio.Protocol, host, port, start_serving=False)
    listeners = [entry.dup() for entry in server.sockets]
    server.close()
    try:
        for listener in listeners:
            listener.listen(_BACKLOG)
    except OSError:
        for listener in listeners:
            listener.close()
        raise
    return listeners


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


async def _shut(listener: _AgentListener) -> None:
    for acceptor in listener.acceptors:
        await acceptor.close()
    serving = tuple(listener.serving)
    for task in serving:
        task.cancel()
    if serving:
        await asyncio.wait(serving)
    with contextlib.suppress(OSError):
        await listener.runner.cleanup()


def _cannot_listen(host: str, port: int, error: OSError, memory: Path) -> ConfigurationError:
    match error.errno:
        case errno.EADDRINUSE:
            return ConfigurationError(
                f"The gateway's port {port} on {host} is taken, perhaps by a second bot with the "
                "same DATA_DIR. End that one; or set GATEWAY_PORT to another port, or remove "
                f"{memory}: agents that run now must then be started anew."
            )
        case errno.EADDRNOTAVAIL:
            return ConfigurationError(
                f"The gateway cannot listen on {host}: it is no address of this machine. Set "
                "GATEWAY_HOST to one that containers can reach."
            )
        case _:
            reason = os.strerror(error.errno) if error.errno else str(error)
            return ConfigurationError(
                f"The gateway cannot listen on {host} port {port}: {reason}. Check GATEWAY_HOST "
                "and GATEWAY_PORT."
            )
