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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.errors import ConfigurationError, EngineError
from bot.files import replace_private_file
from bot.gateway.auth import GatewayAuth
from bot.gateway.egress.proxy import EgressProxy
from bot.gateway.egress.request import MAX_PROXY_HEAD_BYTES
from bot.gateway.socket_dirs import SocketDirStore
from bridge.container import EGRESS_SOCKET_NAME, GATEWAY_SOCKET_NAME

# The agent whose own listener a request came by; None for the shared port.
AGENT: web.AppKey[str | None] = web.AppKey("agent")
_SHUTDOWN_SECONDS = 2.0
_BACKLOG = 128
_WORD = b"THREADSMITH "
_MAX_PREAMBLE_BYTES = 256
_LINE_SECONDS = 10.0

_log = logging.getLogger(__name__)


async def _runner_of(routes: Sequence[web.RouteDef], agent_id: str | None) -> web.AppRunner:
    """Makes a server for these routes, which listens nowhere yet."""
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
    """Opens and closes the listeners of agents.

    `socket_dirs` and `egress` are given where containers have no network.
    """

    def __init__(
        self,
        routes: Sequence[web.RouteDef],
        socket_dirs: SocketDirStore | None = None,
        egress: EgressProxy | None = None,
    ) -> None:
        self._routes = routes
        self._socket_dirs = socket_dirs
        self._egress = egress
        self._open: dict[str, _AgentListener] = {}
        # One lock per agent: a listener that closes slowly does not delay the others.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def protocol_for(self, agent_id: str) -> asyncio.Protocol | None:
        """Returns a protocol for one more connection of this agent, if its listener is open."""
        listener = self._open.get(agent_id)
        server = listener.runner.server if listener else None
        return server() if server else None

    async def open_listener(self, agent_id: str) -> None:
        """Opens the agent's listener, unless it is open. Raises EngineError."""
        async with self._lock_of(agent_id):
            if agent_id in self._open:
                return
            listener = _AgentListener(await _runner_of(self._routes, agent_id))
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
        server_socket = socket_dirs.listen_at(own.gateway / GATEWAY_SOCKET_NAME)
        await web.SockSite(listener.runner, server_socket).start()
        if self._egress:
            serve = functools.partial(_serve, self._egress, agent_id, listener.serving)
            server_socket = socket_dirs.listen_at(own.gateway / EGRESS_SOCKET_NAME)
            listener.egress = await asyncio.start_unix_server(
                serve, sock=server_socket, limit=MAX_PROXY_HEAD_BYTES
            )

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

    def __init__(self, auth: GatewayAuth, listeners: AgentListeners, memory: Path) -> None:
        self._auth = auth
        self._listeners = listeners
        self._memory = memory
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    async def listen(self, routes: Sequence[web.RouteDef], host: str, wanted: int) -> int:
        """Listens at the port that is wanted, remembered or free (0); raises ConfigurationError."""
        runner = await _runner_of(routes, None)
        port = wanted or self._remembered_port()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Preamble(self._protocol_of, runner.server), host, port, backlog=_BACKLOG
            )
        except OSError as error:
            await runner.cleanup()
            raise _cannot_listen(host, port, error, self._memory) from error
        self._runner = runner
        port = int(self._server.sockets[0].getsockname()[1])
        self._remember(port)
        return port

    async def stop(self) -> None:
        """Stops listening and cuts what is under way; safe to call twice."""
        if self._server:
            self._server.close()
        if self._runner:
            await self._runner.cleanup()

    def _protocol_of(self, token: str) -> asyncio.Protocol | None:
        agent_id = self._auth.agent_of(token)
        return self._listeners.protocol_for(agent_id) if agent_id else None

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


class Preamble(asyncio.Protocol):
    """Reads the first line of a connection and hands the connection on.

    `protocol_of` gives a protocol for the token's agent, or None for a token that is not valid;
    `shared` gives one for a connection without the line.
    """

    def __init__(
        self,
        protocol_of: Callable[[str], asyncio.Protocol | None],
        shared: Callable[[], asyncio.Protocol] | None,
    ) -> None:
        self._protocol_of = protocol_of
        self._shared = shared
        self._read = b""
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Waits for the line, up to a deadline."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a connection that is no stream")
        self._transport = transport
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(_LINE_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Hands the connection on once the line is whole, or clearly missing."""
        self._read += data
        line, end, following = self._read.partition(b"\n")
        if not _WORD.startswith(self._read[: len(_WORD)]):
            self._hand_over(self._shared() if self._shared else None, self._read)
        elif end and len(line) <= _MAX_PREAMBLE_BYTES:
            token = line.removeprefix(_WORD).decode("latin-1")
            self._hand_over(self._protocol_of(token), following)
        elif len(self._read) > _MAX_PREAMBLE_BYTES:
            self._hand_over(None, b"")

    def connection_lost(self, _: Exception | None) -> None:
        """Stops waiting for a connection that ended before its line."""
        self._stop_waiting()

    def _hand_over(self, protocol: asyncio.Protocol | None, data: bytes) -> None:
        self._stop_waiting()
        transport = self._transport
        if transport is None:
            return
        if protocol is None:
            transport.abort()
            return
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if data:
            protocol.data_received(data)

    def _stop_waiting(self) -> None:
        if self._deadline:
            self._deadline.cancel()


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
    if listener.egress:
        listener.egress.close()
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
