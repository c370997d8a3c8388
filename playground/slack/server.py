"""The workspace's HTTP server: Web API, socket, uploads, response urls, control."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from playground.event_feed import EventFeed
from playground.free_port import listening
from playground.origin_check import guard
from playground.slack.app_answers import handle_response_url
from playground.slack.arguments import BODY_BYTES
from playground.slack.control_api import ControlApi
from playground.slack.methods.file_methods import MAX_FILE_BYTES, receive_upload, send_file
from playground.slack.slack_settings import SlackSettings
from playground.slack.slack_state import TEAM_ID
from playground.slack.slack_workspace import SlackWorkspace
from playground.slack.web_api import WebApi


@asynccontextmanager
async def slack_running(
    settings: SlackSettings,
    feed: EventFeed,
    host: str = "127.0.0.1",
    ports: Sequence[int] = (0,),
    extend: Callable[[web.Application, SlackWorkspace], None] = lambda _app, _workspace: None,
) -> AsyncIterator[SlackWorkspace]:
    """Serves a workspace at `workspace.trigger_tokens.base_url`; `extend` adds routes."""
    workspace = SlackWorkspace(settings, feed)
    api = WebApi(workspace)

    async def upload(request: web.Request) -> web.Response:
        return await receive_upload(workspace, request)

    async def response_url(request: web.Request) -> web.Response:
        return await handle_response_url(workspace, request)

    async def file(request: web.Request) -> web.Response:
        return await send_file(workspace, request)

    limit = max(BODY_BYTES, MAX_FILE_BYTES * 2)
    app = web.Application(client_max_size=limit, middlewares=[guard(host)])
    app.router.add_route("*", "/api/{method}", api.handle)
    app.router.add_get("/link/", workspace.socket_mode.handle)
    app.router.add_post("/upload/{file_id}/{token}", upload)
    app.router.add_get(f"/files-pri/{TEAM_ID}-{{file_id}}/{{name}}", file)
    app.router.add_get(f"/files-pri/{TEAM_ID}-{{file_id}}/download/{{name}}", file)
    app.router.add_post("/response/{token}", response_url)
    ControlApi(workspace).add_routes(app)
    extend(app, workspace)
    async with listening(app, host, ports) as url:
        workspace.trigger_tokens.base_url = workspace.state.base_url = url
        try:
            yield workspace
        finally:
            api.close()
            feed.close()
            await workspace.close()
