"""The HTTP client against the real bridge, in this process, keeps the contract of its port."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from bot.bridge_client import HttpBridge
from bot.domain.container import BridgeAddress
from bridge.agent.session import Session
from bridge.config import BridgeSettings
from bridge.http.connections import ConnectionGuard
from bridge.http.server import create_app
from bridge.http.sockets import listening_socket
from bridge.model.client import OpenAIChatModel
from bridge.protocol import WorkspaceRequest
from bridge.tools import default_tools
from tests.contracts.sandbox import AWAY, BridgeBench, BridgeContract
from tests.integration.bridge.conftest import (
    Provider,
    bridge_serving,
    no_waiting,
    provider,
    remote,
    says,
    settings,
    workspace_body,
)
from tests.integration.bridge_client.conftest import QUICK

__all__ = ["no_waiting", "provider", "remote", "settings", "workspace_body"]


@pytest.mark.parametrize("way", ["tcp", "unix"])
class TestHttpBridge(BridgeContract):
    @pytest.fixture
    async def bench(
        self,
        way: str,
        tmp_path: Path,
        settings: BridgeSettings,
        provider: Provider,
        remote: Path,
        no_waiting: Callable[[float], Awaitable[object]],
    ) -> AsyncIterator[BridgeBench]:
        answering = asyncio.Event()

        async def held(request: web.Request) -> web.StreamResponse:
            await answering.wait()
            return await says("Done.")(request)

        provider.script = [held] * 5
        model = OpenAIChatModel(
            settings.openrouter_base_url, settings.openrouter_api_key, progress_timeout_seconds=30
        )
        session = Session(settings, model, default_tools(), no_waiting)
        connections = ConnectionGuard()
        app = create_app(
            session, settings.bridge_token, connections=connections, heartbeat_seconds=0.1
        )

        async def finish() -> None:
            answering.set()

        async with (
            _serving(app, connections, tmp_path / "bridge.sock" if way == "unix" else None) as url,
            ClientSession() as http,
            asyncio.TaskGroup() as group,
        ):
            work = group.create_task(session.run())
            address = BridgeAddress(url, settings.bridge_token)
            request = WorkspaceRequest(
                repository="acme/demo", clone_url=f"file://{remote}", target_branch="agent/demo"
            )
            patient = replace(
                QUICK, prepare_seconds=30, answer_seconds=30, diff_seconds=30, apply_seconds=30
            )
            yield BridgeBench(HttpBridge(http, patient), address, request, finish)
            answering.set()
            work.cancel()
            session.events.end_readers()
        session.close()
        await model.close()

    @pytest.fixture
    def away(self, way: str, tmp_path: Path) -> BridgeAddress:
        return AWAY if way == "tcp" else replace(AWAY, endpoint=f"unix:{tmp_path}/none.sock")


@asynccontextmanager
async def _serving(
    app: web.Application, connections: ConnectionGuard, path: Path | None
) -> AsyncIterator[str]:
    if path is None:
        async with bridge_serving(app, connections) as url:
            yield url
        return
    with listening_socket(path, None, "", 0) as (listener, name):
        async with connections.serving(app, listener, shutdown_seconds=0.2):
            yield name
