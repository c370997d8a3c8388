"""How a bridge is reached: over TCP, or over a unix socket in a folder that its container shares.

The container is untrusted and may put anything at that path. So the path is opened without
following a link, must be a socket, and that very socket is connected to.
"""

import contextlib
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp

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
        with _held(endpoint.removeprefix(_UNIX)) as path:
            # It costs next to nothing, and there is nothing to keep or to close for an agent.
            connector = aiohttp.UnixConnector(path, force_close=True)
            async with aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar()
            ) as session:
                yield session, _NOWHERE


@contextlib.contextmanager
def _held(path: str) -> Iterator[str]:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise aiohttp.ClientConnectionError(f"{path}: {error.strerror}") from error
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise aiohttp.ClientConnectionError(f"{path} is no socket")
        # Of any length, and always the file that was looked at.
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
