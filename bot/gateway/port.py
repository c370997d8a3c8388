"""The gateway's TCP port, which the containers on an open network share; it outlives the bot."""

import asyncio
import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bot.errors import ConfigurationError
from bot.files import replace_private_file
from bot.gateway.auth import GatewayAuth
from bot.gateway.listeners import AgentListeners, runner_of
from bot.gateway.preamble import Preamble

_BACKLOG = 128


class _Remembered(BaseModel):
    model_config = ConfigDict(extra="ignore")
    port: int = Field(ge=1, le=65_535)


class SharedPort:
    """`memory` is the file that keeps the number."""

    def __init__(self, doors: GatewayAuth, entrances: AgentListeners, memory: Path) -> None:
        self._doors = doors
        self._entrances = entrances
        self._memory = memory
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None

    async def listen(self, routes: Sequence[web.RouteDef], host: str, wanted: int) -> int:
        """Listen at the port that is wanted, remembered or free (0); raises ConfigurationError."""
        runner = await runner_of(routes, None)
        port = wanted or self._remembered_port()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                lambda: Preamble(self._entrance_of, runner.server), host, port, backlog=_BACKLOG
            )
        except OSError as error:
            await runner.cleanup()
            raise _cannot_listen(host, port, error, self._memory) from error
        self._runner = runner
        port = int(self._server.sockets[0].getsockname()[1])
        self._remember(port)
        return port

    async def stop(self) -> None:
        """Stop listening and cut what is under way; safe to call twice."""
        if self._server:
            self._server.close()
        if self._runner:
            await self._runner.cleanup()

    def _entrance_of(self, token: str) -> asyncio.Protocol | None:
        agent_id = self._doors.agent_of(token)
        return self._entrances.handler(agent_id) if agent_id else None

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
