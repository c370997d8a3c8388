"""The control API under /playground: people, feed, faults and sockets as JSON over HTTP."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from playground.slack.errors import SlackError
from playground.slack.objects import channel_object, user_object, view_object
from playground.slack.observer import CannotDo
from playground.slack.slack_state import Json
from playground.slack.slack_workspace import SlackWorkspace
from playground.slack.user_client import InteractionOutcome, UserClient

KEEPALIVE_SECONDS = 15.0
ACTS = frozenset(
    {
        "slash", "say", "edit", "delete", "react", "unreact", "click", "click_view", "shortcut",
        "global_shortcut", "submit_view", "close_view", "upload", "open_home", "stop_session",
        "read", "dismiss", "suggest", "invite",
    }
)  # fmt: skip


class ControlApi:
    """Serves the control API. Errors are `{"error": text}` with a 4xx status."""

    def __init__(self, workspace: SlackWorkspace) -> None:
        self._workspace = workspace

    def add_routes(self, app: web.Application) -> None:
        for method, path, handler in (
            ("GET", "/playground/state", self._state),
            ("GET", "/playground/feed", self._feed),
            ("GET", "/playground/calls", self._calls),
            ("POST", "/playground/people/{name}/{act}", self._act),
            ("GET", "/playground/people/{name}/channels/{channel}", self._messages),
            ("GET", "/playground/people/{name}/channels/{channel}/{ts}", self._thread),
            ("GET", "/playground/people/{name}/ephemerals", self._ephemerals),
            ("GET", "/playground/people/{name}/views", self._views),
            ("POST", "/playground/faults", self._faults),
            ("POST", "/playground/socket", self._socket),
        ):
            app.router.add_route(method, path, json_errors(handler))

    async def _state(self, _request: web.Request) -> web.Response:
        state = self._workspace.state
        return web.json_response(
            {
                "users": [user_object(user) for user in state.users.values()],
                "channels": [channel_object(c) for c in state.channels.values()],
                "connections": self._workspace.socket_mode.connections,
                "last_seq": self._workspace.feed.last_seq,
            }
        )

    async def _act(self, request: web.Request) -> web.Response:
        person = self._person(request)
        act = request.match_info["act"]
        if act not in ACTS:
            raise CannotDo(f"Nobody can {act}. Known: {', '.join(sorted(ACTS))}.")
        arguments = await _body(request)
        if act == "upload":
            arguments["content"] = base64.b64decode(str(arguments.pop("content_base64", "")))
        try:
            result: Any = await getattr(person, act)(**arguments)
        except TypeError as error:
            raise CannotDo(f"Wrong arguments for {act}: {error}") from error
        if isinstance(result, InteractionOutcome):
            result = asdict(result)
        return web.json_response({"result": result})

    async def _messages(self, request: web.Request) -> web.Response:
        person = self._person(request)
        messages = person.channel_messages(request.match_info["channel"])
        return web.json_response({"messages": messages})

    async def _thread(self, request: web.Request) -> web.Response:
        info = request.match_info
        messages = self._person(request).thread(info["channel"], info["ts"])
        return web.json_response({"messages": messages})

    async def _ephemerals(self, request: web.Request) -> web.Response:
        ephemerals = [asdict(e) for e in self._person(request).ephemerals()]
        return web.json_response({"ephemerals": ephemerals})

    async def _views(self, request: web.Request) -> web.Response:
        person = self._person(request)
        views = [view_object(view) for view in person.views()]
        return web.json_response({"views": views, "home": person.home()})

    async def _calls(self, request: web.Request) -> web.Response:
        method = request.query.get("method")
        calls = self._workspace.feed.entries("api_call")
        shown = [e.as_json() for e in calls if method in (None, e.data["method"])]
        return web.json_response({"calls": shown})

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: the entries after `after` (or Last-Event-ID), then new ones."""
        start = request.query.get("after") or request.headers.get("Last-Event-ID") or "0"
        if not start.isdigit():
            raise CannotDo("after must be a number.")
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await response.prepare(request)
        try:
            async for entry in self._workspace.feed.follow(int(start)):
                data = json.dumps(entry.as_json())
                frame = f"id: {entry.seq}\nevent: {entry.kind}\ndata: {data}\n\n"
                await response.write(frame.encode())
        except ConnectionError:
            return response
        await response.write_eof()
        return response

    async def _faults(self, request: web.Request) -> web.Response:
        """Plan a fault: {method, kind, times?, code?, seconds?} or {event, kind, times?}."""
        body = await _body(request)
        try:
            if event := body.pop("event", None):
                self._workspace.faults.event(event, **body)
            else:
                self._workspace.faults.fail(**body)
        except (TypeError, ValueError) as error:
            raise CannotDo(f"No such fault: {error}") from error
        return web.json_response({"result": "planned"})

    async def _socket(self, request: web.Request) -> web.Response:
        """{action: "refresh" | "warning" | "drop" | "deafen"}."""
        match (await _body(request)).get("action"):
            case "refresh":
                await self._workspace.socket_mode.disconnect()
            case "warning":
                await self._workspace.socket_mode.disconnect("warning")
            case "drop":
                self._workspace.socket_mode.drop()
            case "deafen":
                self._workspace.socket_mode.deafen()
            case other:
                raise CannotDo(f"No such action: {other}.")
        return web.json_response({"result": "done"})

    def _person(self, request: web.Request) -> UserClient:
        name = request.match_info["name"]
        try:
            user = self._workspace.state.user(name)
        except KeyError as error:
            raise CannotDo(f"There is no person {name}.") from error
        return UserClient(self._workspace, user)


def json_errors(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Answer what a person cannot do, and what Slack refuses, as `{"error": text}`."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except CannotDo as error:
            return web.json_response({"error": str(error)}, status=400)
        except SlackError as error:
            return web.json_response({"error": error.code}, status=400)

    return answer


async def _body(request: web.Request) -> Json:
    """The JSON object of a request; its content type keeps foreign web pages' forms out."""
    if request.content_type != "application/json":
        raise CannotDo("Send application/json.")
    try:
        body = await request.json()
    except (ValueError, asyncio.IncompleteReadError) as error:
        raise CannotDo("That is not JSON.") from error
    if not isinstance(body, dict):
        raise CannotDo("Send a JSON object.")
    return body
