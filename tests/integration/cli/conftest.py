"""A doctor for the playground, and small servers that are wrong in one way each."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bot.app.health import HealthChecks
from bot.config import Settings
from bot.domain.health import Finding
from bot.runtime.checks import code_hash
from bot.runtime.docker import DockerRuntime
from playground.server import Playground, running

ROOT = Path(__file__).parents[3]
CODE = code_hash(ROOT / "bridge")
GOOD_ENGINE = {
    "/version": {"Version": "27.1", "ApiVersion": "1.45"},
    "/v1.45/version": {"Version": "27.1", "ApiVersion": "1.45"},
    "/v1.45/info": {"Driver": "overlay2"},
    "/v1.45/images/threadsmith-bridge:latest/json": {
        "Config": {"Labels": {"threadsmith.code": CODE}}
    },
}

Find = Callable[..., Awaitable[Finding]]


def settings_of(playground: Playground, data_dir: Path, **changes: object) -> Settings:
    """The settings that fit this playground, but for the changes."""
    variables = playground.environment() | {"DATA_DIR": str(data_dir)}
    fields: dict[str, Any] = {name.lower(): value for name, value in variables.items()}
    return Settings(_env_file=None, **(fields | changes))


@pytest.fixture
async def playground() -> AsyncIterator[Playground]:
    async with running() as made:
        yield made


@pytest.fixture
async def find(playground: Playground, tmp_path: Path) -> AsyncIterator[Find]:
    """What one check finds, with these settings changed."""
    async with aiohttp.ClientSession() as session:

        async def found(
            check: str, *names: Any, engine: str = "unix:///nowhere/docker.sock", **changes: object
        ) -> Finding:
            settings = settings_of(playground, tmp_path / "data", **changes)
            async with DockerRuntime("doctor", address=engine) as runtime:
                doctor = HealthChecks(settings, session, runtime)
                examined = await doctor.examine(*names)
            return next(one.finding for one in examined if one.check == check)

        yield found


@asynccontextmanager
async def serving(answers: Mapping[str, Any], place: Path | None = None) -> AsyncIterator[str]:
    """Answer each path with its JSON, a status, or a response; on a unix socket if one is named."""

    async def answer(request: web.Request) -> web.StreamResponse:
        body = answers.get(request.path, 404)
        if isinstance(body, int):
            return web.json_response({"message": "No such image: it is not here"}, status=body)
        if isinstance(body, web.Response):
            return web.Response(body=body.body, status=body.status, headers=body.headers)
        return web.json_response(body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        if place is not None:
            await web.UnixSite(runner, str(place)).start()
            yield f"unix://{place}"
        else:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
