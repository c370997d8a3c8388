"""Serves an aiohttp application on a free port for the length of a block."""

import errno
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

SHUTDOWN_SECONDS = 2.0


@asynccontextmanager
async def listening(app: web.Application, host: str, ports: Sequence[int]) -> AsyncIterator[str]:
    """Serve `app` on the first port that is free; yields its base URL without a slash.

    Port 0 takes any. Raises OSError when every one is taken.
    """
    runner = web.AppRunner(app, shutdown_timeout=SHUTDOWN_SECONDS, handler_cancellation=True)
    await runner.setup()
    try:
        await _start(runner, host, ports)
        bound = runner.addresses[0]
        shown = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        yield f"http://{shown}:{bound[1]}"
    finally:
        await runner.cleanup()


async def _start(runner: web.AppRunner, host: str, ports: Sequence[int]) -> None:
    for port in ports:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or port == ports[-1]:
                raise
            await site.stop()
        else:
            return
