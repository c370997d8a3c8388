"""The workspace's HTTP server: Web API, socket, uploads, response urls, control."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from playground.event_feed import EventFeed
from playground.origin_check import guard
from playground.ports import listening
from playground.slack.answers import handle_response_url
from playground.slack.arguments import BODY_BYTES
from playground.slack.control import ControlApi
from playground.slack.methods.files import MAX_FILE_BYTES, receive_upload, send_file
from playground.slack.settings import SlackSettings
from playground.slack.state import TEAM_ID
from playground.slack.web_api import WebApi
from playground.slack.workspace import SlackWorkspace


@asynccontextmanager
async def slack_running(
    settings: SlackSettings,
    feed: EventFeed,
    host: str = "127.0.0.1",
    ports: Sequence[int] = (0,),
    extend: Callable[[web.Application, SlackWorkspace], None] = lambda _app, _hub: None,
) -> AsyncIterator[SlackWorkspace]:
    """Serve a workspace; `hub.grants.base_url` is where it listens. `extend` adds routes."""
    hub = SlackWorkspace(settings, feed)
    api = WebApi(hub)

    async def upload(request: web.Request) -> web.Response:
        return await receive_upload(hub, request)

    async def response_url(request: web.Request) -> web.Response:
        return await handle_response_url(hub, request)

    async def file(request: web.Request) -> web.Response:
        return await send_file(hub, request)

    limit = max(BODY_BYTES, MAX_FILE_BYTES * 2)
    app = web.Application(client_max_size=limit, middlewares=[guard(host)])
    app.router.add_route("*", "/api/{method}", api.handle)
    app.router.add_get("/link/", hub.socket_mode.handle)
    app.router.add_post("/upload/{file_id}/{token}", upload)
    app.router.add_get(f"/files-pri/{TEAM_ID}-{{file_id}}/{{name}}", file)
    app.router.add_get(f"/files-pri/{TEAM_ID}-{{file_id}}/download/{{name}}", file)
    app.router.add_post("/response/{token}", response_url)
    ControlApi(hub).add_routes(app)
    extend(app, hub)
    async with listening(app, host, ports) as url:
        hub.grants.base_url = hub.workspace.base_url = url
        try:
            yield hub
        finally:
            api.close()
            feed.close()
            await hub.close()
