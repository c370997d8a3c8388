"""A git host and a model provider on the loopback, and the gateway between them and a container."""

import asyncio
import base64
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.config import Settings
from bot.gateway.server import HostGateway
from bot.store.agents import SqlStore
from tests.harness.git import make_repository, run_git
from tests.integration.gateway.bench import API, PRICED, GatewayBench

__all__ = ["API"]

GIT_TOKEN = "canary-git-token"
MODEL_KEY = "canary-model-key"


class Serving:
    """Starts aiohttp apps on free loopback ports; the fixture stops them."""

    def __init__(self) -> None:
        self._runners: list[web.AppRunner] = []

    async def start(self, app: web.Application, *, decompress: bool = True) -> str:
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, auto_decompress=decompress
        )
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    made = Serving()
    yield made
    await made.stop()


@dataclass
class GitServer:
    """`git http-backend` behind a token, as a plain git host serves it."""

    root: Path
    url: str = ""
    requests: list[web.BaseRequest] = field(default_factory=list)
    moved: dict[str, str] = field(default_factory=dict)
    protocol: str | None = None
    token: str = GIT_TOKEN

    def repository(self, name: str, *branches: str) -> Path:
        """Make a bare repository; its default branch is the first one."""
        bare = self.root / name
        bare.parent.mkdir(parents=True, exist_ok=True)
        first = branches[0] if branches else "main"
        run_git(self.root, "init", "--bare", "-b", first, str(bare))
        if branches:
            work = self.root / "work" / name
            work.mkdir(parents=True)
            make_repository(work, {"README": "hello\n" * 5_000}, first)
            for branch in branches:
                run_git(work, "push", str(bare), f"HEAD:refs/heads/{branch}")
        return bare

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        for old, new in self.moved.items():
            if request.path.startswith(old):
                location = request.path_qs.replace(old, new, 1)
                return web.Response(status=301, headers={"Location": location})
        expected = base64.b64encode(f"x-access-token:{self.token}".encode()).decode()
        if request.headers.get("Authorization") != f"Basic {expected}":
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="git"'})
        protocol = request.headers.get("Git-Protocol", "")
        process = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(self.root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": protocol if self.protocol is None else self.protocol,
                "PATH_INFO": request.path,
                "QUERY_STRING": request.query_string,
                "REQUEST_METHOD": request.method,
                "REMOTE_USER": "agent",
                "CONTENT_TYPE": request.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            },
        )
        output, _ = await process.communicate(await request.read())
        head, _, body = output.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(headers.pop("Status", "200").split()[0])
        return web.Response(status=status, headers=headers, body=body)


@pytest.fixture
async def git_server(tmp_path: Path, serving: Serving) -> GitServer:
    root = tmp_path / "repositories"
    root.mkdir()
    server = GitServer(root)
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{tail:.*}", server.handle)
    server.url = await serving.start(app, decompress=False)
    return server


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Provider:
    """A model provider whose answers a test writes."""

    url: str = ""
    requests: list[web.BaseRequest] = field(default_factory=list)
    chat: Handler | None = None
    models: Handler | None = None

    @property
    def chats(self) -> list[web.BaseRequest]:
        """The model calls among the requests."""
        return [request for request in self.requests if request.path.endswith("/chat/completions")]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        handler = self.chat if request.path.endswith("/chat/completions") else self.models
        return await handler(request) if handler else web.json_response({"data": []}, status=404)


@pytest.fixture
async def provider(serving: Serving) -> Provider:
    made = Provider()
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/api/v1/{tail:.*}", made.handle)
    made.url = await serving.start(app) + "/api/v1"
    return made


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    # As many connections as are wanted, as in the app.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as made:
        yield made


@pytest.fixture
def settings(provider: Provider, git_server: GitServer) -> Settings:
    return Settings(
        _env_file=None,
        openrouter_api_key=SecretStr(MODEL_KEY),
        openrouter_base_url=provider.url,
        github_token=SecretStr(GIT_TOKEN),
        github_url=git_server.url,
    )


@pytest.fixture
async def gateway(
    settings: Settings, tmp_path: Path, session: aiohttp.ClientSession
) -> AsyncIterator[HostGateway]:
    made = HostGateway(settings, tmp_path / "data", session)
    await made.start("127.0.0.1")
    await made.open("k3f9ab", API)
    yield made
    await made.stop()


@pytest.fixture
async def bench(
    settings: Settings, tmp_path: Path, session: aiohttp.ClientSession, provider: Provider
) -> AsyncIterator[GatewayBench]:
    async def models(_: web.Request) -> web.Response:
        return web.json_response({"data": [PRICED]})

    provider.models = models
    store = await SqlStore.open(f"sqlite+aiosqlite:///{tmp_path / 'bot.db'}", tmp_path)
    made = GatewayBench(settings, tmp_path / "data", session, store)
    await made.set()
    yield made
    assert made.gateway
    await made.gateway.stop()
    await store.close()
