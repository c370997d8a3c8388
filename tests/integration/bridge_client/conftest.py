"""A small bridge whose misbehaviour a test writes, and a client that loses patience quickly."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.bridge_client import ClientLimits, HttpBridge
from bot.domain.container import BridgeAddress
from bridge.protocol import StepStarted

TOKEN = "canary-bridge-token"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
QUICK = ClientLimits(
    conversation_seconds=2,
    apply_seconds=2,
    connect_seconds=1,
    answer_seconds=0.5,
    diff_seconds=1,
    prepare_seconds=1,
    silence_seconds=0.3,
    away_seconds=0.6,
    first_backoff_seconds=0.001,
    longest_backoff_seconds=0.05,
    invalid_frames=3,
    fruitless_gaps=2,
)


def frame(seq: int, end: str = "\n") -> bytes:
    """One numbered event as the bridge sends it."""
    data = StepStarted(seq=seq, at=1.0, step=seq, max_steps=15).model_dump_json()
    return f"id: {seq}{end}event: step_started{end}data: {data}{end}{end}".encode()


class Stream:
    """One connection to /agent/events, from the bridge's side."""

    def __init__(self, request: web.Request, response: web.StreamResponse) -> None:
        self._request = request
        self._response = response
        self.after = int(request.query["after"])

    async def send(self, *parts: bytes) -> None:
        for part in parts:
            await self._response.write(part)

    async def stay_silent(self) -> None:
        await asyncio.Event().wait()

    def cut(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()


Script = Callable[[Stream], Awaitable[None]]


@dataclass
class FakeBridge:
    """Answers by path; each connection to /agent/events runs the next script, the last again."""

    address: BridgeAddress = field(
        default_factory=lambda: BridgeAddress("http://127.0.0.1:1", SecretStr(TOKEN))
    )
    handlers: dict[str, Handler] = field(default_factory=dict)
    scripts: list[Script] = field(default_factory=list)
    requests: list[web.BaseRequest] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if request.path in self.handlers:
            return await self.handlers[request.path](request)
        if request.path == "/agent/events" and self.scripts:
            script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await script(Stream(request, response))
            return response
        return web.json_response({"code": "not_found", "message": "no"}, status=404)

    def answers(self, path: str, body: object, status: int = 200) -> None:
        async def handler(_: web.Request) -> web.Response:
            return web.json_response(body, status=status)

        self.handlers[path] = handler

    @property
    def connections(self) -> list[str]:
        """The `after` of each connection to the stream."""
        streams = (request for request in self.requests if request.path == "/agent/events")
        return [request.query["after"] for request in streams]


@pytest.fixture
async def fake() -> AsyncIterator[FakeBridge]:
    made = FakeBridge()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", made.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.address = BridgeAddress(f"http://127.0.0.1:{runner.addresses[0][1]}", SecretStr(TOKEN))
    yield made
    await runner.cleanup()


@pytest.fixture
async def bridge() -> AsyncIterator[HttpBridge]:
    async with aiohttp.ClientSession() as session:
        yield HttpBridge(session, QUICK)
