"""An agent at work: a repository of 200 files, and tasks that a bridge does in it, watched."""

import subprocess
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from benchmarks.model import QUIET
from benchmarks.processes import BenchmarkError, Server, bridge_running
from bot.bridge_client import HttpBridge
from bridge.protocol import AgentEvent, ExecuteRequest, Outcome, TaskFinished, WorkspaceRequest

_FILES = 200


@dataclass(frozen=True, slots=True)
class Seen:
    """An event, and when this process had it; seconds since the epoch, as in the event."""

    event: AgentEvent
    at: float


@dataclass(frozen=True, slots=True)
class AgentAtWork:
    """A bridge process with its workspace ready."""

    server: Server
    client: HttpBridge

    async def perform(self, steps: int, model: str = QUIET) -> list[Seen]:
        """Let it do so many tool steps; every event from the task's start to its end."""
        task_id = uuid.uuid4().hex
        before = (await self.client.status(self.server.address)).last_seq
        request = ExecuteRequest(
            task_id=task_id, text=f"{steps} mixed steps", model=model, max_steps=steps + 5
        )
        accepted = await self.client.execute(self.server.address, request)
        seen: list[Seen] = []
        async with aclosing(self.client.events(self.server.address, before)) as events:
            async for event in events:
                seen.append(Seen(event, time.time()))
                if isinstance(event, TaskFinished) and event.task_id == accepted.task_id:
                    _check(event, steps)
                    return seen
        raise BenchmarkError("The stream of events ended before the task.")


def _check(finished: TaskFinished, steps: int) -> None:
    if finished.outcome is not Outcome.COMPLETED or finished.steps != steps + 1:
        said = finished.error.message if finished.error else ""
        raise BenchmarkError(f"The task ended as {finished.outcome} at {finished.steps}: {said}")


@asynccontextmanager
async def agent_at_work(
    scratch: Path, model: Server, session: aiohttp.ClientSession
) -> AsyncIterator[AgentAtWork]:
    """A new bridge that has cloned the repository and done a step, so that all is loaded."""
    repository = _repository(scratch)
    async with bridge_running(scratch, f"{model.url}/v1") as server:
        agent = AgentAtWork(server, HttpBridge(session))
        await agent.client.wait_ready(server.address, 10.0)
        await agent.client.prepare(
            server.address,
            WorkspaceRequest(
                repository="acme/sample",
                clone_url=f"file://{repository}",
                target_branch="agent/sample",
            ),
        )
        await agent.perform(1)
        yield agent


def _repository(scratch: Path) -> Path:
    root = scratch / "sample"
    if root.exists():
        return root
    for number in range(_FILES):
        path = root / "src" / f"part_{number % 10}" / f"module_{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        group = number // 10 % 10
        lines = (f"def function_{n}_of_{group}():\n    return {n}\n\n" for n in range(20))
        path.write_text("".join(lines))
    (root / "README.md").write_text("# Sample\n\n" + "A line of the manual.\n" * 40)
    git = ["git", "-C", str(root), "-c", "user.name=benchmark", "-c", "user.email=b@localhost"]
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *arguments], check=True, stdin=subprocess.DEVNULL)
    return root
