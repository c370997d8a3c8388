"""The Web API over HTTP: token, scope, faults and limits before each method, the log after it."""

import asyncio
import json

from aiohttp import web

from playground.slack.arguments import CallArguments, read_arguments
from playground.slack.errors import SlackError
from playground.slack.fault_plan import Fault, FaultKind
from playground.slack.methods import (
    chat_methods,
    conversation_methods,
    file_methods,
    user_methods,
    view_methods,
)
from playground.slack.methods.api_method import ApiMethod
from playground.slack.slack_state import Json
from playground.slack.slack_workspace import SlackWorkspace

METHODS: dict[str, ApiMethod] = {
    method.name: method
    for family in (chat_methods, conversation_methods, file_methods, user_methods, view_methods)
    for method in family.METHODS
}
HTML_ERROR = "<html><body><h1>Service unavailable</h1></body></html>"


class WebApi:
    """Serves `/api/{method}`."""

    def __init__(self, workspace: SlackWorkspace) -> None:
        self._workspace = workspace
        self._closing = asyncio.Event()

    def close(self) -> None:
        """Let calls that a fault keeps hanging go."""
        self._closing.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["method"]
        fault = self._workspace.faults.next_call(name)
        if fault is not None and fault.kind is not FaultKind.RESET_AFTER:
            return await self._faulty(request, name, fault)
        arguments: Json = {}
        try:
            arguments = await read_arguments(request)
            token = _token(request, arguments)
            answer = await self._call(name, token, arguments)
            failure = None
        except SlackError as error:
            answer, failure = error.body(), error
        status = failure.status if failure else 200
        self._log(name, arguments, answer, status)
        if fault is not None:
            return _reset(request)
        headers = self._headers(name) | (failure.headers if failure else {})
        return web.json_response(answer, status=status, headers=headers)

    async def _call(self, name: str, token: str, arguments: Json) -> Json:
        method = METHODS.get(name)
        if method is None:
            raise SlackError("unknown_method", req_method=name)
        self._authorize(method, token)
        if seconds := self._workspace.limits.call(name, method.tier):
            raise SlackError("ratelimited", status=429, headers={"Retry-After": str(seconds)})
        return await method.run(self._workspace, CallArguments(arguments))

    def _authorize(self, method: ApiMethod, token: str) -> None:
        settings = self._workspace.settings
        if not token:
            raise SlackError("not_authed")
        if token not in (settings.bot_token, settings.app_token):
            raise SlackError("invalid_auth")
        wanted = settings.bot_token if method.token == "bot" else settings.app_token
        if token != wanted:
            raise SlackError("not_allowed_token_type")
        if (
            method.token == "bot"
            and method.scope
            and method.scope not in settings.scopes.split(",")
        ):
            raise SlackError("missing_scope", needed=method.scope, provided=settings.scopes)

    async def _faulty(self, request: web.Request, name: str, fault: Fault) -> web.StreamResponse:
        self._workspace.feed.record("fault", method=name, fault=fault.kind.value)
        status = 200
        response: web.StreamResponse
        match fault.kind:
            case FaultKind.RATE_LIMITED:
                headers = {"Retry-After": str(int(fault.seconds))}
                status = 429
                body = {"ok": False, "error": "ratelimited"}
                response = web.json_response(body, status=status, headers=headers)
            case FaultKind.SERVER_ERROR:
                status = 500
                response = web.json_response({"ok": False, "error": "fatal_error"}, status=status)
            case FaultKind.HTML:
                status = 503
                response = web.Response(text=HTML_ERROR, status=status, content_type="text/html")
            case FaultKind.ERROR:
                response = web.json_response({"ok": False, "error": fault.code})
            case FaultKind.TIMEOUT:
                await self._hang(fault.seconds)
                response = _reset(request)
            case FaultKind.RESET | FaultKind.RESET_AFTER:
                response = _reset(request)
        self._log(name, {}, {"ok": False, "error": f"fault:{fault.kind}"}, status)
        return response

    async def _hang(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return

    def _headers(self, name: str) -> dict[str, str]:
        method = METHODS.get(name)
        return {
            "x-oauth-scopes": self._workspace.settings.scopes,
            "x-accepted-oauth-scopes": method.scope if method else "",
            "x-slack-req-id": self._workspace.state.next_token("request"),
        }

    def _log(self, name: str, arguments: Json, answer: Json, status: int) -> None:
        shown = {key: _decoded(value) for key, value in arguments.items() if key != "token"}
        self._workspace.feed.record(
            "api_call", method=name, arguments=shown, answer=answer, status=status
        )


def _decoded(value: object) -> object:
    """JSON that came as a form's text, as itself."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _token(request: web.Request, arguments: Json) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return str(arguments.get("token", ""))


def _reset(request: web.Request) -> web.StreamResponse:
    """Cut the connection; the answer that is returned never leaves."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)
