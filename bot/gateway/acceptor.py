"""Accepts the connections of one listening socket, in a log context of its own."""

import asyncio
import contextvars
import errno
import logging
import socket
from collections.abc import Awaitable, Callable

from bot.log_setup import log_scope

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

_log = logging.getLogger(__name__)


class Acceptor:
    """Hands each accepted socket to `serve`, one at a time, until it is closed.

    The server of asyncio cannot wait before it accepts more, works in the context of whoever
    started it, and writes a line for each place of the backlog when descriptors run out. This one
    leaves further connections where they take none, in the backlog, while `serve` waits; its
    lines carry the agent's id and no other; and without descriptors it pauses after one line.
    """

    def __init__(
        self,
        listener: socket.socket,
        serve: Callable[[socket.socket], Awaitable[None]],
        agent_id: str | None,
        again_seconds: float,
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._serve = serve
        self._agent_id = agent_id
        self._again_seconds = again_seconds
        # This object holds and awaits the task; a group would need a block to live in.
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name=f"accept-{agent_id}", context=contextvars.Context()
        )

    async def close(self) -> None:
        """Stops accepting and closes the listening socket; safe to call twice."""
        self._task.cancel()
        await asyncio.wait([self._task])
        self._listener.close()

    async def _run(self) -> None:
        with log_scope(agent=self._agent_id):
            while True:
                if client := await self._accept():
                    await self._hand_over(client)

    async def _accept(self) -> socket.socket | None:
        try:
            client, _ = await asyncio.get_running_loop().sock_accept(self._listener)
        except OSError as error:
            is_exhausted = error.errno in _EXHAUSTED
            if is_exhausted:
                _log.error("no connection is accepted for a while: %s", error.strerror)
            await asyncio.sleep(self._again_seconds if is_exhausted else 0)
            return None
        return client

    async def _hand_over(self, client: socket.socket) -> None:
        try:
            await self._serve(client)
        except OSError:
            client.close()  # it went away meanwhile
        except BaseException:
            client.close()
            raise
