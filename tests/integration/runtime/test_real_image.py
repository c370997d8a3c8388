"""The image of the bridge under the real limits: it boots, and fetches through the gateway."""

from contextlib import aclosing
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.bridge_client import HttpBridge
from bot.config import Settings
from bot.domain.agent import RepoRef
from bot.domain.container import (
    BridgeAddress,
    ContainerSpec,
)
from bot.errors import BridgeRefused
from bot.gateway.server import HostGateway
from bot.runtime.docker import DockerRuntime
from bridge.protocol import SessionStatus, WorkspaceRequest
from tests.integration.gateway.conftest import GIT_TOKEN, GitServer
from tests.integration.runtime.conftest import BRIDGE_IMAGE

pytestmark = pytest.mark.docker

AGENT = "k3f9ab"
REPO = RepoRef("acme", "api")


async def test_the_bridge_boots_and_clones_through_the_gateway(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    repositories = tmp_path / "repositories"
    repositories.mkdir()
    host = GitServer(repositories)
    host.repository("acme/api.git", "main")
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", host.handle)
    upstream = web.AppRunner(app, access_log=None, auto_decompress=False)
    await upstream.setup()
    await web.TCPSite(upstream, "127.0.0.1", 0).start()
    settings = Settings(
        _env_file=None,
        github_url=f"http://127.0.0.1:{upstream.addresses[0][1]}",
        github_token=SecretStr(GIT_TOKEN),
    )
    async with aiohttp.ClientSession() as session:
        gateway = HostGateway(settings, tmp_path / "data", session)
        await gateway.start(await runtime.network_gateway())
        try:
            await _work(runtime, gateway, HttpBridge(session))
        finally:
            await gateway.stop()
            await upstream.cleanup()


async def _work(runtime: DockerRuntime, gateway: HostGateway, bridge: HttpBridge) -> None:
    await gateway.open(AGENT, REPO)
    access = gateway.access(AGENT, REPO)
    token = gateway.tokens.bridge_token(AGENT)
    container = await runtime.start(
        ContainerSpec(
            agent_id=AGENT,
            image=BRIDGE_IMAGE,
            memory_bytes=512 * 1024 * 1024,
            nano_cpus=1_000_000_000,
            environment={
                "BRIDGE_TOKEN": token.get_secret_value(),
                "OPENROUTER_API_KEY": access.token.get_secret_value(),
                "OPENROUTER_BASE_URL": access.model_base_url,
                "GIT_TOKEN": access.token.get_secret_value(),
            },
        )
    )
    assert container.endpoint is not None
    address = BridgeAddress(container.endpoint, token)
    await bridge.wait_ready(address, 20)
    assert (await bridge.status(address)).status is SessionStatus.EMPTY
    with pytest.raises(BridgeRefused, match="unauthorized"):
        await bridge.status(BridgeAddress(container.endpoint, access.token))

    ready = await bridge.prepare(
        address,
        WorkspaceRequest(
            repository=str(REPO), clone_url=access.clone_url, target_branch=f"agent/{AGENT}"
        ),
    )
    assert ready.source_branch == "main"
    async with aclosing(bridge.events(address, 0)) as events:
        async for event in events:
            if event.type == "workspace_ready":
                break
    assert (await bridge.diff(address)).files == ()
    assert await bridge.patch(address) == b""
