"""One container of the real image under the real limits, with a repository, and a hostile model."""

import asyncio
import json
import secrets
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import docker
import pytest_asyncio
from aiohttp import ClientError, ClientSession, ClientTimeout, web

from bot.domain.container import ContainerSpec
from bot.runtime.docker import DockerRuntime
from bridge.protocol import ToolFinished
from tests.integration.bridge.conftest import TOKEN, Client, Provider, calls, says
from tests.integration.runtime.conftest import BRIDGE_IMAGE, clean

KEY = "canary-model-key"
AGENT = "k3f9ab"
SEED = """
    set -e
    mkdir /tmp/seed; cd /tmp/seed
    git init -q -b main; git config user.name a; git config user.email a@localhost
    printf 'hello\\n' > README.md; printf '*.txt diff=shown filter=cleaned\\n' > .gitattributes
    printf 'one\\n' > a.txt
    git add .; git commit -q -m first
"""


@dataclass
class Sandbox:
    """The container, its bridge, and what its scripted model calls."""

    engine: docker.APIClient
    container: str
    client: Client
    provider: Provider
    numbers: "count[int]"

    async def begin(self, name: str, **arguments: Any) -> str:
        """Let the model call a tool; the id of its task."""
        self.provider.script[:] = [calls((name, arguments)), says("Done.")]
        task_id = f"t{next(self.numbers)}"
        assert (await self.client.execute(task_id))[0] == 202
        return task_id

    async def call(self, name: str, **arguments: Any) -> ToolFinished:
        """The result of one call of a tool."""
        task_id = await self.begin(name, **arguments)
        frames = await self.client.frames("task_finished", task_id=task_id)
        [found] = [
            json.loads(data)
            for _, event, data in frames
            if event == "tool_finished" and json.loads(data)["task_id"] == task_id
        ]
        return ToolFinished.model_validate(found)

    async def python(self, script: str, timeout_seconds: float = 20.0) -> ToolFinished:
        """Run Python as a tool does."""
        command = ["python3", "-c", textwrap.dedent(script)]
        return await self.call("run_command", command=command, timeout_seconds=timeout_seconds)

    def inside(self, *argv: str, user: str = "root") -> str:
        made = self.engine.exec_create(self.container, list(argv), user=user)
        output = self.engine.exec_start(made["Id"])
        return str(output.decode(errors="replace"))

    def exists(self, path: str) -> bool:
        """Checks for a file by an exit status, which arrives even where an output is lost."""
        made = self.engine.exec_create(self.container, ["test", "-e", path], user="root")
        self.engine.exec_start(made["Id"])
        status = self.engine.exec_inspect(made["Id"])["ExitCode"]
        assert status in {0, 1}
        return bool(status == 0)

    async def of_runner(self) -> list[str]:
        """The processes of the tools' user."""
        listed = await asyncio.to_thread(self.inside, "ps", "-U", "runner", "-o", "args=")
        return listed.splitlines()

    async def health(self) -> dict[str, Any]:
        """The answer to /health, which has to come within two seconds."""
        async with (
            ClientSession(timeout=ClientTimeout(total=2.0)) as http,
            http.get(f"{self.client.url}/health") as response,
        ):
            answer: dict[str, Any] = await response.json()
            return answer


@asynccontextmanager
async def model_at(host: str) -> AsyncIterator[Provider]:
    provider = Provider()
    app = web.Application(client_max_size=64 * 2**20)
    app.add_routes([web.post("/v1/chat/completions", provider.answer)])
    runner = web.AppRunner(app, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    provider.url = "http://{}:{}/v1".format(*runner.addresses[0][:2])
    try:
        yield provider
    finally:
        await runner.cleanup()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    engine = docker.APIClient(version="auto")
    instance = f"sandbox{secrets.token_hex(4)}"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        DockerRuntime(instance) as runtime,
        model_at(await runtime.network_gateway()) as provider,
        ClientSession(headers=headers) as http,
    ):
        try:
            container = await runtime.start(
                ContainerSpec(
                    agent_id=AGENT,
                    image=BRIDGE_IMAGE,
                    memory_bytes=512 * 1024 * 1024,
                    nano_cpus=1_000_000_000,
                    environment={
                        "BRIDGE_TOKEN": TOKEN,
                        "OPENROUTER_API_KEY": KEY,
                        "OPENROUTER_BASE_URL": provider.url,
                        "COMMAND_ALLOW": "sh",
                    },
                )
            )
            assert container.endpoint is not None
            client = Client(http, container.endpoint)
            made = Sandbox(engine, container.id, client, provider, count(1))
            await _settle(made)
            yield made
        finally:
            clean(engine, instance)
            engine.close()


async def _settle(sandbox: Sandbox) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await sandbox.health()
                break
            except (ClientError, OSError):
                await asyncio.sleep(0.05)  # nothing tells that a port opens
    said = await asyncio.to_thread(sandbox.inside, "sh", "-c", textwrap.dedent(SEED), user="runner")
    assert not said, said
    body = {"repository": "acme/demo", "clone_url": "file:///tmp/seed", "target_branch": "agent/x"}
    status, answer = await sandbox.client.post("/agent/workspace", body)
    assert status == 200, answer
