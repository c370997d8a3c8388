"""How a bridge is reached: over TCP, or over a unix socket in a folder that its container shares.

The container is untrusted and may put anything at that path. So the path is opened without
following a link, must be a socket, and that very socket is connected to.
"""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from bot.files import untrusted_socket_address

_UNIX = "unix:"
_NOWHERE = "http://bridge"


class BridgeConnections:
    """Gives each request its session. `session` is the one for TCP, and stays the caller's."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @asynccontextmanager
    async def to(self, endpoint: str) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
        """A session for this endpoint, and what its addresses begin with.

        Raises aiohttp.ClientError when there is no socket.
        """
        if not endpoint.startswith(_UNIX):
            yield self._session, endpoint
            return
        with contextlib.ExitStack() as stack:
            try:
                path = stack.enter_context(
                    untrusted_socket_address(Path(endpoint.removeprefix(_UNIX)))
                )
            except OSError as error:
                raise aiohttp.ClientConnectionError(
                    f"{error.filename}: {error.strerror}"
                ) from error
            # It costs next to nothing, and there is nothing to keep or to close for an agent.
            connector = aiohttp.UnixConnector(path, force_close=True)
            async with aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            ) as session:
                yield session, _NOWHERE
