"""The floor, run as a process of its own: the least that an aiohttp server can be."""

import asyncio
import json
import sys
import time

from aiohttp import web

# About the size of the bridge's events, and about how far apart they are.
_PADDING = "x" * 400
_PAUSE_SECONDS = 0.005


async def _health(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _stream(request: web.Request) -> web.StreamResponse:
    """Server-sent events, each with the time at which it was made."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for number in range(int(request.query["count"])):
        await asyncio.sleep(_PAUSE_SECONDS)
        body = json.dumps({"seq": number, "at": time.time(), "text": _PADDING})
        await response.write(f"id: {number}\nevent: floor\ndata: {body}\n\n".encode())
    return response


async def serve(app: web.Application) -> None:
    """Serve on a free port of the loopback, and say which, until the process is ended."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    sys.stderr.write(f"listening on {host}:{port}\n")
    await asyncio.Event().wait()


def main() -> None:
    app = web.Application()
    app.add_routes([web.get("/health", _health), web.get("/stream", _stream)])
    asyncio.run(serve(app))


if __name__ == "__main__":
    main()
