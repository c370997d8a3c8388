"""Serves the bridge's HTTP routes: checks the token, reads requests, answers errors."""

import asyncio
import hmac
import logging
from collections.abc import Callable
from typing import TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from pydantic import BaseModel, SecretStr, ValidationError

from bridge.agent.session import Session
from bridge.errors import BridgeError
from bridge.http.connections import ConnectionGuard
from bridge.http.streams import Streams
from bridge.protocol import (
    BODY_SECONDS,
    MAX_ATTACHMENT_BYTES,
    MAX_CONVERSATION_BYTES,
    MAX_PATCH_BYTES,
    PROTOCOL_VERSION,
    Accepted,
    AnswerRequest,
    ChatRequest,
    Disposition,
    ErrorCode,
    ExecuteRequest,
    Health,
    MessageEdit,
    PushRequest,
    SavedConversation,
    TaskRequest,
    ToolEnvironment,
    WireError,
    WorkspaceRequest,
)

_log = logging.getLogger(__name__)
_BODY_BYTES = 2 * 1_048_576
STATUS_OF = {
    ErrorCode.INVALID_REQUEST: 400,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.REPOSITORY_NOT_FOUND: 404,
    ErrorCode.BRANCH_NOT_FOUND: 404,
    ErrorCode.WORKSPACE_MISSING: 409,
    ErrorCode.WORKSPACE_CONFLICT: 409,
    ErrorCode.TOO_LARGE: 422,
    ErrorCode.QUEUE_FULL: 429,
    ErrorCode.CLONE_FAILED: 502,
    ErrorCode.CLONE_TIMEOUT: 504,
    ErrorCode.NO_SPACE: 507,
}
INTERNAL_STATUS = 500

_UNAUTHORIZED = WireError(
    code=ErrorCode.UNAUTHORIZED, message="This needs the token of this agent."
)
_FAILED_INSIDE = WireError(code=ErrorCode.INTERNAL, message="The bridge failed inside.")
_CONNECTIONS = web.AppKey("connections", ConnectionGuard)

R = TypeVar("R", bound=BaseModel)


def create_app(
    session: Session,
    token: SecretStr,
    *,
    connections: ConnectionGuard,
    heartbeat_seconds: float = 15.0,
    on_request: Callable[[], None] = lambda: None,
) -> web.Application:
    """Makes the routes over one session. `on_request` is called after each answered request."""
    streams = Streams(session.events, session.is_over, heartbeat_seconds=heartbeat_seconds)
    routes = _Routes(session, streams)
    app = web.Application(middlewares=[_guard(token, on_request)])
    app[_CONNECTIONS] = connections
    app.add_routes(
        [
            _get("/health", routes.health),
            web.post("/agent/workspace", routes.workspace),
            web.post("/agent/execute", routes.execute),
            web.post("/agent/chat", routes.chat),
            web.put("/agent/messages/{id}", routes.revise),
            web.delete("/agent/messages/{id}", routes.withdraw),
            _get("/agent/conversation", routes.export),
            web.put("/agent/conversation", routes.restore),
            web.put("/agent/environment", routes.environment),
            _get("/agent/status", routes.status),
            _get("/agent/events", routes.events),
            _get("/agent/ws", routes.websocket),
            web.post("/agent/interrupt", routes.interrupt),
            web.post("/agent/pause", routes.pause),
            web.post("/agent/resume", routes.resume),
            web.post("/agent/answers/{id}", routes.answer),
            web.post("/agent/undo", routes.undo),
            web.put("/agent/attachments/{name}", routes.attach),
            _get("/agent/diff", routes.diff),
            web.post("/agent/push", routes.push),
            _get("/agent/patch", routes.patch),
            web.put("/agent/patch", routes.apply),
        ]
    )
    return app


def _get(path: str, handler: Handler) -> web.RouteDef:
    # Without HEAD, which would follow a stream that shows nothing.
    return web.get(path, handler, allow_head=False)


class _Routes:
    def __init__(self, session: Session, streams: Streams) -> None:
        self._session = session
        self._streams = streams

    async def health(self, _request: web.Request) -> web.StreamResponse:
        return _json(Health(protocol=PROTOCOL_VERSION, instance_id=self._session.instance_id))

    async def workspace(self, request: web.Request) -> web.StreamResponse:
        return _json(await self._session.prepare(await _read(request, WorkspaceRequest)))

    async def execute(self, request: web.Request) -> web.StreamResponse:
        place = self._streams.place(request)  # a wrong one is told before anything is begun
        accepted = await self._session.execute(await _read(request, ExecuteRequest))
        return await self._answer(request, accepted, place)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        place = self._streams.place(request)
        accepted = await self._session.chat(await _read(request, ChatRequest))
        if accepted.disposition is not Disposition.STARTED:
            return _json(accepted, status=202)
        return await self._answer(request, accepted, place)

    async def status(self, _request: web.Request) -> web.StreamResponse:
        return _json(self._session.status())

    async def environment(self, request: web.Request) -> web.StreamResponse:
        return _json(self._session.set_environment(await _read(request, ToolEnvironment)))

    async def events(self, request: web.Request) -> web.StreamResponse:
        return await self._streams.send(request, self._streams.place(request) or 0)

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        return await self._streams.send_websocket(request, self._streams.place(request) or 0)

    async def interrupt(self, _request: web.Request) -> web.StreamResponse:
        return _json(await self._session.interrupt())

    async def pause(self, request: web.Request) -> web.StreamResponse:
        return _json(self._session.pause(await _read(request, TaskRequest)))

    async def resume(self, request: web.Request) -> web.StreamResponse:
        return _json(await self._session.resume(await _read(request, TaskRequest)))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        answer = await _read(request, AnswerRequest)
        return _json(await self._session.answer(request.match_info["id"], answer))

    async def undo(self, request: web.Request) -> web.StreamResponse:
        return _json(await self._session.undo(await _read(request, TaskRequest)))

    async def attach(self, request: web.Request) -> web.StreamResponse:
        data = await _body(request, MAX_ATTACHMENT_BYTES)
        return _json(await self._session.attach(request.match_info["name"], data))

    async def diff(self, _request: web.Request) -> web.StreamResponse:
        return _json(await self._session.diff())

    async def push(self, request: web.Request) -> web.StreamResponse:
        return _json(await self._session.push(await _read(request, PushRequest)))

    async def patch(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(body=await self._session.patch(), content_type="text/x-patch")

    async def apply(self, request: web.Request) -> web.StreamResponse:
        return _json(await self._session.apply(await _body(request, MAX_PATCH_BYTES)))

    async def revise(self, request: web.Request) -> web.StreamResponse:
        revision = await _read(request, MessageEdit)
        return _json(await self._session.revise(request.match_info["id"], revision.text))

    async def withdraw(self, request: web.Request) -> web.StreamResponse:
        return _json(await self._session.revise(request.match_info["id"], None))

    async def export(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(body=await self._session.export(), content_type="application/json")

    async def restore(self, request: web.Request) -> web.StreamResponse:
        saved = await _read(request, SavedConversation, MAX_CONVERSATION_BYTES)
        return _json(await self._session.restore(saved))

    async def _answer(
        self, request: web.Request, accepted: Accepted, place: int | None
    ) -> web.StreamResponse:
        if "application/json" in request.headers.get("Accept", ""):
            return _json(accepted, status=202)
        after = self._session.before_task(accepted.task_id) if place is None else place
        return await self._streams.send(request, after, task_id=accepted.task_id)


def _guard(token: SecretStr, on_request: Callable[[], None]) -> Middleware:
    expected = f"Bearer {token.get_secret_value()}".encode()

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        connections = request.app[_CONNECTIONS]
        connections.begin_request(request)
        try:
            header = request.headers.get("Authorization", "").encode(errors="surrogateescape")
            if hmac.compare_digest(header, expected):
                if not request.body_exists:
                    connections.mark_known(request)
                return await handler(request)
            if request.path == "/health":
                return await handler(request)
            return _error(401, _UNAUTHORIZED)
        except BridgeError as error:
            return _error(STATUS_OF.get(error.code, INTERNAL_STATUS), error.on_the_wire())
        except web.HTTPException as error:
            is_missing = isinstance(error, web.HTTPNotFound)
            code = ErrorCode.NOT_FOUND if is_missing else ErrorCode.INVALID_REQUEST
            answer = _error(error.status, WireError(code=code, message=f"{error.reason}."))
            if isinstance(error, web.HTTPMethodNotAllowed):
                answer.headers["Allow"] = error.headers["Allow"]
            return answer
        except ConnectionError:
            return web.Response(status=400)  # the client went away: nobody reads this
        except Exception:  # noqa: BLE001  (boundary: no traceback ever goes onto the wire)
            _log.exception("%s %s failed inside", request.method, request.path[:100])
            return _error(INTERNAL_STATUS, _FAILED_INSIDE)
        finally:
            connections.end_request(request)
            on_request()

    return guard


async def _body(request: web.Request, limit_bytes: int) -> bytes:
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > limit_bytes:
                    raise web.HTTPRequestEntityTooLarge(limit_bytes, len(body))
    except TimeoutError as error:
        raise web.HTTPRequestTimeout from error
    request.app[_CONNECTIONS].mark_known(request)
    return bytes(body)


async def _read(request: web.Request, shape: type[R], limit_bytes: int = _BODY_BYTES) -> R:
    body = await _body(request, limit_bytes)
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc']))[:100] or 'body'}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)[:10]
        )
        raise BridgeError(ErrorCode.INVALID_REQUEST, problems) from error


def _json(answer: BaseModel, status: int = 200) -> web.Response:
    return web.Response(
        body=answer.model_dump_json().encode(), content_type="application/json", status=status
    )


def _error(status: int, error: WireError) -> web.Response:
    headers = {"WWW-Authenticate": "Bearer"} if error.code == ErrorCode.UNAUTHORIZED else None
    body = {"error": error.model_dump()}
    return web.json_response(body, status=status, headers=headers)
