"""Live agents, sealed or open, and what tools inside them can ask of the network."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import docker
import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.bridge_client import HttpBridge
from bot.config import Settings
from bot.domain.agent import RepoRef
from bot.domain.container import (
    BridgeAddress,
    Container,
    ContainerSpec,
    sealed_environment,
)
from bot.domain.egress import Denial
from bot.gateway.server import HostGateway
from bot.runtime.docker import DockerRuntime
from tests.integration.gateway.conftest import GIT_TOKEN, GitServer
from tests.integration.runtime.conftest import BRIDGE_IMAGE, clean, engine, instance

__all__ = ["engine", "instance"]

REPO = RepoRef("acme", "api")
TOOLS = "10002"
BRIDGE = "10001"
# A site of the tests; its address is opened for the proxy as an admin opens a private network.
SITE = "127.0.0.2"


@dataclass
class NetworkBench:
    """One deployment with its agents."""

    runtime: DockerRuntime
    gateway: HostGateway
    bridge: HttpBridge
    sealed: bool
    denials: list[tuple[str, Denial]] = field(default_factory=list)

    async def agent(self, agent_id: str) -> tuple[Container, BridgeAddress]:
        """A container that answers."""
        await self.gateway.open(agent_id, REPO)
        access = self.gateway.access(agent_id, REPO)
        token = self.gateway.tokens.bridge_token(agent_id)
        environment = {
            "BRIDGE_TOKEN": token.get_secret_value(),
            "OPENROUTER_API_KEY": access.token.get_secret_value(),
            "OPENROUTER_BASE_URL": access.model_base_url,
            "GIT_TOKEN": access.token.get_secret_value(),
        }
        if access.folders:
            environment |= sealed_environment(access.folders)
        container = await self.runtime.start(
            ContainerSpec(agent_id, BRIDGE_IMAGE, 2**29, 10**9, environment, folders=access.folders)
        )
        assert container.endpoint is not None
        address = BridgeAddress(container.endpoint, token)
        await self.bridge.wait_ready(address, 30)
        return container, address

    async def run(self, container: Container, *argv: str, user: str = TOOLS) -> tuple[int, str]:
        """Run a program inside, as the tools' user; its status and its output."""
        command = ["docker", "exec", "--user", user, container.id, *argv]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    async def reaches(self, container: Container, host: str, port: int) -> str:
        """`open`, `silent`, or the kernel's word for why not, of a TCP connection from inside."""
        probe = (
            "import errno, json, socket, sys\n"
            "one = socket.socket(socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET)\n"
            "one.settimeout(1.5)\n"
            "try: code = one.connect_ex((sys.argv[1], int(sys.argv[2])))\n"
            "except TimeoutError: code = errno.EAGAIN\n"
            "words = errno.errorcode | {0: 'open', errno.EAGAIN: 'silent'}\n"
            "print(json.dumps(words.get(code, code)))\n"
        )
        code, output = await self.run(container, "python3", "-c", probe, host, str(port))
        assert code == 0, output
        return str(json.loads(output.splitlines()[-1]))


@asynccontextmanager
async def serving(host: str, port: int = 0) -> AsyncIterator[int]:
    """A server of this machine that says hello."""

    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", hello)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def benched(instance: str, folder: Path, *, sealed: bool) -> AsyncIterator[NetworkBench]:
    """A gateway and a runtime, with a git host behind them."""
    async with AsyncExitStack() as stack:
        repositories = folder / "repositories"
        repositories.mkdir()
        host = GitServer(repositories)
        host.repository("acme/api.git", "main")
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", host.handle)
        upstream = web.AppRunner(app, access_log=None, auto_decompress=False)
        await upstream.setup()
        stack.push_async_callback(upstream.cleanup)
        await web.TCPSite(upstream, "127.0.0.1", 0).start()
        settings = Settings(
            _env_file=None,
            github_url=f"http://127.0.0.1:{upstream.addresses[0][1]}",
            github_token=SecretStr(GIT_TOKEN),
            openrouter_base_url="http://127.0.0.1:9/v1",  # nobody: no question leaves the machine
            egress_allow=(SITE, "169.254.169.254", "*.private.test"),
            egress_private_networks=(f"{SITE}/32",),
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        runtime = await stack.enter_async_context(DockerRuntime(instance))
        gateway = HostGateway(settings, folder / "data", session)
        stack.push_async_callback(gateway.stop)
        if sealed:
            await gateway.start_sealed()
        else:
            await gateway.start(await runtime.network_gateway())
        bench = NetworkBench(runtime, gateway, HttpBridge(session), sealed)
        gateway.denied = lambda *denial: bench.denials.append(denial)
        yield bench


@pytest.fixture
async def sealed(
    engine: docker.APIClient, instance: str, tmp_path: Path
) -> AsyncIterator[NetworkBench]:
    async with benched(instance, tmp_path, sealed=True) as bench:
        yield bench
        clean(engine, instance)


@pytest.fixture
async def opened(
    engine: docker.APIClient, instance: str, tmp_path: Path
) -> AsyncIterator[NetworkBench]:
    async with benched(instance, tmp_path, sealed=False) as bench:
        yield bench
        clean(engine, instance)


@pytest.fixture
async def site() -> AsyncIterator[None]:
    """A site that the sealed agents' proxy may reach, at the port that it insists on."""
    try:
        async with serving(SITE, 80):
            yield
    except PermissionError:
        pytest.skip("only root may listen on port 80")
