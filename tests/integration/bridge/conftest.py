"""A scripted model provider that speaks OpenRouter's dialect, and a bridge in this process."""

import asyncio
import io
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, StreamReader, web
from pydantic import SecretStr

from bridge.agent.session import Session
from bridge.config import BridgeSettings
from bridge.http.connections import ConnectionGuard
from bridge.http.server import create_app
from bridge.http.sockets import listening_socket
from bridge.model.client import OpenAIChatModel
from bridge.protocol import AgentEvent, parse_event
from bridge.tools import default_tools
from tests.harness.git import make_repository

TOKEN = "canary-bridge-token"
KEY = "canary-model-key"
DONE = "data: [DONE]\n\n"

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


def chunk(finish: str | None = None, **delta: Any) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return f"data: {json.dumps({'id': 'gen-1', 'choices': [choice]})}\n\n"


def usage(**fields: Any) -> str:
    body = {"prompt_tokens": 20, "completion_tokens": 5, "cost": 0.25} | fields
    return f"data: {json.dumps({'id': 'gen-1', 'choices': [], 'usage': body})}\n\n"


def streams(*parts: str, then: Callable[[web.Request], Awaitable[None]] | None = None) -> Reply:
    """An answer made of these parts, each its own write."""

    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for part in parts:
            await response.write(part.encode())
        if then is not None:
            await then(request)
        return response

    return reply


def says(text: str) -> Reply:
    return streams(": OPENROUTER PROCESSING\n\n", chunk("stop", content=text), usage(), DONE)


def calls(*wanted: tuple[str, dict[str, Any]]) -> Reply:
    parts = []
    for index, (name, arguments) in enumerate(wanted):
        function = {"name": name, "arguments": json.dumps(arguments)}
        call = {"index": index, "id": f"call_{index}_{name}", "function": function}
        parts.append(chunk(tool_calls=[call]))
    return streams(*parts, chunk("tool_calls"), usage(), DONE)


def fails(status: int, body: Any, **headers: str) -> Reply:
    async def reply(_request: web.Request) -> web.StreamResponse:
        if isinstance(body, str):
            return web.Response(status=status, text=body, content_type="text/html")
        return web.json_response(body, status=status, headers=headers)

    return reply


class Provider:
    """Answers chat completions from a script, in order, and keeps the requests."""

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        self.headers.append(dict(request.headers))
        return await self.script.pop(0)(request)


@asynccontextmanager
async def serving(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def bridge_serving(app: web.Application, connections: ConnectionGuard) -> AsyncIterator[str]:
    with listening_socket(None, None, "127.0.0.1", 0) as (listener, name):
        async with connections.serving(app, listener, shutdown_seconds=0.2):
            yield f"http://{name}"


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    provider = Provider()
    app = web.Application(client_max_size=64 * 2**20)
    app.add_routes([web.post("/v1/chat/completions", provider.answer)])
    async with serving(app) as url:
        provider.url = f"{url}/v1"
        yield provider


@pytest.fixture(scope="session")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_repository(tmp_path_factory.mktemp("remote"), {"README.md": "# Demo\n\nhello\n"})


@pytest.fixture
def settings(tmp_path: Path, provider: Provider) -> BridgeSettings:
    return BridgeSettings(
        host="127.0.0.1",
        port=0,
        bridge_token=SecretStr(TOKEN),
        openrouter_api_key=SecretStr(KEY),
        openrouter_base_url=provider.url,
        workspace_dir=tmp_path / "workspace",
        state_dir=tmp_path / "state",
        model_progress_timeout_seconds=0.5,
        model_max_attempts=2,
    )


@pytest.fixture
def workspace_body(remote: Path) -> dict[str, str]:
    return {
        "repository": "acme/demo",
        "clone_url": f"file://{remote}",
        "target_branch": "agent/demo",
    }


class Client:
    """What a bot does, over real HTTP."""

    def __init__(self, http: ClientSession, url: str) -> None:
        self.http = http
        self.url = url

    async def post(self, path: str, body: Any = None, accept: str = "application/json") -> Any:
        headers = {"Accept": accept}
        async with self.http.post(self.url + path, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def put(self, path: str, data: bytes) -> Any:
        async with self.http.put(self.url + path, data=io.BytesIO(data)) as response:
            return response.status, await response.json()

    async def delete(self, path: str) -> Any:
        async with self.http.delete(self.url + path) as response:
            return response.status, await response.json()

    async def get(self, path: str) -> Any:
        async with self.http.get(self.url + path) as response:
            return response.status, await response.json()

    async def execute(self, task_id: str = "t1", **fields: Any) -> Any:
        body = {"task_id": task_id, "text": "do it", "model": "acme/model"} | fields
        return await self.post("/agent/execute", body)

    async def chat(self, number: int, **fields: Any) -> Any:
        body = {"message_id": f"m{number}", "task_id": f"r{number}", "text": f"say {number}"}
        return await self.post("/agent/chat", body | fields)

    async def frames(
        self, until: str, path: str = "/agent/events", task_id: str | None = None, **headers: str
    ) -> list[tuple[str | None, str, str]]:
        """(id, event, data) of each event up to the first of the type `until` (of this task)."""
        found = []
        async with asyncio.timeout(15), self.http.get(self.url + path, headers=headers) as response:
            assert response.status == 200, await response.text()
            async for frame in read_frames(response.content):
                found.append(frame)
                if frame[1] == until and task_id in (None, json.loads(frame[2])["task_id"]):
                    return found
        raise AssertionError(f"the stream ended before {until}")

    async def events(self, until: str, path: str = "/agent/events") -> list[AgentEvent]:
        return [parse_event(data) for _, _, data in await self.frames(until, path)]


async def read_frames(content: StreamReader) -> AsyncIterator[tuple[str | None, str, str]]:
    fields: dict[str, str] = {}
    async for line in content:
        text = line.decode().rstrip("\n")
        if text:
            name, _, value = text.partition(": ")
            fields[name] = value
        elif "data" in fields:
            yield fields.get("id"), fields["event"], fields["data"]
            fields = {}
        else:
            fields = {}


@pytest.fixture
def no_waiting() -> Callable[[float], Awaitable[object]]:
    async def sleep(_seconds: float) -> None:
        return

    return sleep


@pytest.fixture
async def empty(
    settings: BridgeSettings, no_waiting: Callable[[float], Awaitable[object]]
) -> AsyncIterator[Client]:
    """A bridge in this process that has no workspace yet."""
    model = OpenAIChatModel(
        settings.openrouter_base_url,
        settings.openrouter_api_key,
        progress_timeout_seconds=settings.model_progress_timeout_seconds,
    )
    session = Session(settings, model, default_tools(), no_waiting)
    connections = ConnectionGuard()
    app = create_app(session, settings.bridge_token, connections=connections, heartbeat_seconds=0.1)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with bridge_serving(app, connections) as url, ClientSession(headers=headers) as http:
        async with asyncio.TaskGroup() as group:
            work = group.create_task(session.run())
            yield Client(http, url)
            work.cancel()
        session.events.end_readers()
    session.close()
    await model.close()


@pytest.fixture
async def client(empty: Client, workspace_body: dict[str, str]) -> Client:
    """A bridge in this process with its workspace ready."""
    status, _ = await empty.post("/agent/workspace", workspace_body)
    assert status == 200
    return empty


@pytest.fixture
def environment(settings: BridgeSettings) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOST": "127.0.0.1",
        "PORT": "0",
        "BRIDGE_TOKEN": TOKEN,
        "OPENROUTER_API_KEY": KEY,
        "OPENROUTER_BASE_URL": settings.openrouter_base_url,
        "WORKSPACE_DIR": str(settings.workspace_dir),
        "STATE_DIR": str(settings.state_dir),
    }


async def spawn(
    environment: dict[str, str], *arguments: str, program: tuple[str, ...] = ("-m", "bridge")
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, *program, *arguments,
        env=environment,
        cwd=Path(__file__).parents[3],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


@asynccontextmanager
async def running(
    environment: dict[str, str], *, program: tuple[str, ...] = ("-m", "bridge")
) -> AsyncIterator[tuple[asyncio.subprocess.Process, Client]]:
    process = await spawn(environment, program=program)
    assert process.stderr is not None
    try:
        line = json.loads(await process.stderr.readline())
        found = re.search(r"listening on (\S+):(\d+)", line["message"])
        assert found, line
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with ClientSession(headers=headers) as http:
            yield process, Client(http, f"http://{found[1]}:{found[2]}")
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
