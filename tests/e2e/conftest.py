"""The real parts for the end-to-end tests: a playground in this process, a bot beside it."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio

from playground.model.scenarios import Scenario
from playground.model.server import ReceivedRequest
from playground.server import Playground, PlaygroundSettings, running
from playground.slack.user_client import UserClient

IMAGE = os.environ.get("BRIDGE_IMAGE", "threadsmith-bridge:latest")
ROOT = Path(__file__).parents[2]
READY_SECONDS = 30.0

Json = dict[str, Any]


def docker(*arguments: str) -> str:
    """Run the engine's client; fails the test with its words."""
    result = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"docker {' '.join(arguments)}: {result.stderr}"
    return result.stdout.strip()


@pytest.fixture(scope="session")
def engine() -> None:
    """A missing engine or image is a failure, never a skip."""
    images = docker("images", "--quiet", IMAGE)
    assert images, f"There is no image {IMAGE}. Run `make image`."


class Process(Protocol):
    """What a test uses of a bot's process."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    @property
    def stderr(self) -> asyncio.StreamReader | None: ...

    def send_signal(self, signal: int, /) -> None: ...

    async def wait(self) -> int: ...


@dataclass
class Bot:
    """A bot in a process of its own. `log` grows while it lives."""

    environment: dict[str, str]
    data_dir: Path
    process: Process | None = None
    log: list[Json] = field(default_factory=list)
    _reading: asyncio.Task[None] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def instance(self) -> str:
        return (self.data_dir / "instance").read_text().strip()

    def command(self) -> list[str]:
        """What the process is; another test has it as another user's."""
        return [sys.executable, "-m", "bot"]

    async def start(self) -> None:
        await self.spawn()
        await self.says("ready", READY_SECONDS)

    async def spawn(self) -> None:
        """Start the process, and do not wait for it to be ready."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("SLACK_", "OPENROUTER"))}
        environment = {**clean, "PYTHONPATH": str(ROOT), **self.environment}
        self.process = await self.start_process(environment)
        self.log.clear()
        self._reading = asyncio.create_task(self._read())

    async def start_process(self, environment: dict[str, str]) -> Process:
        """Start the bot as a program of its own."""
        return await asyncio.create_subprocess_exec(
            *self.command(), env=environment, stderr=asyncio.subprocess.PIPE, cwd=self.data_dir
        )

    async def _read(self) -> None:
        assert self.process is not None
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            try:
                self.log.append(json.loads(line))
            except json.JSONDecodeError:
                self.log.append({"message": line.decode().rstrip(), "level": "raw"})
            self._changed.set()
        self.log.append({"message": "(ended)", "level": "raw"})
        self._changed.set()

    async def says(self, message: str, seconds: float = 10.0) -> None:
        """Wait for a line of the log."""
        async with asyncio.timeout(seconds):
            while not any(message in line["message"] for line in self.log):
                assert self.log[-1:] != [{"message": "(ended)", "level": "raw"}], self.log
                self._changed.clear()
                await self._changed.wait()

    async def end_of_start(self, seconds: float = 20.0) -> None:
        """Wait until a start that cannot work has ended by itself."""
        assert self.process is not None
        async with asyncio.timeout(seconds):
            await self.process.wait()
            if self._reading:
                await self._reading

    async def end(self, number: int = signal.SIGTERM) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(20):
            await self.process.wait()
            if self._reading:
                await self._reading

    def containers(self) -> list[str]:
        """The ids of this bot's containers, running or not."""
        label = f"label=threadsmith.instance={self.instance}"
        return docker("ps", "--all", "--quiet", "--no-trunc", "--filter", label).split()

    def sockets(self, container: str) -> Path:
        """The folder of sockets that a sealed container of this bot shares with it."""
        [facts] = json.loads(docker("inspect", container))
        assert facts["HostConfig"]["NetworkMode"] == "none"
        agent_id = str(facts["Config"]["Labels"]["threadsmith.agent"])
        folder = self.data_dir / "sockets" / agent_id
        assert folder.is_dir()
        return folder

    def volumes(self) -> list[str]:
        label = f"label=threadsmith.instance={self.instance}"
        return docker("volume", "ls", "--quiet", "--filter", label).split()

    def clean_up(self) -> None:
        """Remove what this bot made, and nothing else."""
        self.remove_agents()
        label = f"label=threadsmith.instance={self.instance}"
        if networks := docker("network", "ls", "--quiet", "--filter", label).split():
            docker("network", "rm", *networks)  # a bot that was killed could not do it

    def remove_agents(self) -> None:
        """Remove the containers and volumes; the bot may be alive."""
        if containers := self.containers():
            docker("rm", "--force", "--volumes", *containers)
        if volumes := self.volumes():
            docker("volume", "rm", *volumes)


@dataclass
class Deployment:
    """Everything that an end-to-end test needs."""

    playground: Playground
    bot: Bot

    def person(self, name: str = "ana") -> UserClient:
        return self.playground.person(name)

    async def wait_for_root(
        self, contains: str, channel: str = "general", who: str = "ana"
    ) -> Json:
        """The root message of an agent; waits for it."""
        return await self.person(who).wait_for_message(contains, channel, timeout_seconds=20)

    async def wait_for_reply(
        self,
        contains: str,
        thread: str,
        channel: str = "general",
        *,
        after: str = "",
        seconds: float = 40.0,
    ) -> Json:
        """Wait until the bot has said something in a thread."""
        ana = self.person()
        try:
            return await ana.wait_for_message(
                contains, channel, thread, after=after, timeout_seconds=seconds
            )
        except TimeoutError:
            shown = "\n".join(message["text"] for message in ana.thread(channel, thread))
            logged = "\n".join(str(line) for line in self.bot.log[-15:])
            pytest.fail(f"{contains!r} was never said. The thread:\n{shown}\nThe log:\n{logged}")

    def script(self, task: str, scenario: Scenario) -> None:
        """Let the model follow a story in the threads whose first task is this one."""
        matches = lambda conversation: task in conversation.tasks[0].text  # noqa: E731
        self.playground.model.scenarios.add(task, scenario, matches)

    async def start_agent(
        self, where: str, task: str, channel: str = "dev", who: str = "ana"
    ) -> str:
        """Start an agent by the command; the thread that it lives in."""
        assert (await self.person(who).slash("/agent", f"{where} {task}", channel)).ok
        return str((await self.wait_for_root(task, channel, who))["ts"])

    async def stop_agent(self, thread: str, channel: str = "dev") -> None:
        """End the agent of a thread by the word."""
        await self.person().say("stop", channel, thread)
        await self.wait_for_reply("Stopped by", thread, channel)
        await self.no_containers()

    async def wait_for_request(
        self, contains: str, after: int = 0, seconds: float = 20.0
    ) -> ReceivedRequest:
        """Wait until the model was asked with these words in any of the messages."""

        def look() -> ReceivedRequest | None:
            asked = self.playground.model.requests[after:]
            return next((one for one in asked if contains in json.dumps(one.messages)), None)

        return await self.playground.feed.until(look, seconds)

    def reactions_of(self, thread: str, ts: str, channel: str = "dev") -> set[str]:
        """The reactions on a message of a thread."""
        shown = self.person().thread(channel, thread)
        [message] = [one for one in shown if one["ts"] == ts]
        return {reaction["name"] for reaction in message.get("reactions", [])}

    async def wait_for_reaction(
        self, thread: str, ts: str, name: str, channel: str = "dev"
    ) -> None:
        """Wait for a reaction on a message."""
        await self.playground.feed.until(lambda: name in self.reactions_of(thread, ts, channel), 20)

    async def settled(self, seconds: float = 10.0) -> None:
        """Wait until everything that people did has had its effect."""
        await self.playground.slack.delivery.idle()
        async with asyncio.timeout(seconds):
            while self.stored("SELECT 1 FROM inbox WHERE done_at IS NULL"):
                await asyncio.sleep(0.05)  # another process's database tells nobody

    def stored(self, query: str) -> list[tuple[Any, ...]]:
        """What the bot's database holds."""
        with closing(sqlite3.connect(self.bot.data_dir / "threadsmith.db")) as connection:
            return connection.execute(query).fetchall()

    async def no_containers(self, seconds: float = 15.0) -> None:
        """Wait until the engine has no container of this bot."""
        async with asyncio.timeout(seconds):
            while await asyncio.to_thread(self.bot.containers):
                await asyncio.sleep(0.1)  # the engine has no event that this client could await


def environment_of(playground: Playground, data_dir: Path) -> dict[str, str]:
    return {
        **playground.environment(),
        "GITHUB_API_URL": f"{playground.git_url}/api/v3",
        "DATA_DIR": str(data_dir),
        "LOG_LEVEL": "DEBUG",
        "STARTS_PER_HOUR_PER_USER": "0",  # a module of tests starts more than a person
    }


@asynccontextmanager
async def deployed(
    playground: Playground,
    data_dir: Path,
    settings: Mapping[str, str] | None = None,
    *,
    bot_type: Callable[[dict[str, str], Path], Bot] = Bot,
    end_signal: int = signal.SIGTERM,
) -> AsyncIterator[Deployment]:
    """Starts a bot beside this playground, with these settings; it leaves nothing behind."""
    bot = bot_type({**environment_of(playground, data_dir), **(settings or {})}, data_dir)
    deployment = Deployment(playground, bot)
    await bot.start()
    try:
        yield deployment
    finally:
        await deployment.bot.end(end_signal)
        deployment.bot.clean_up()


async def threadsmith(deployment: Deployment, *arguments: str) -> tuple[int | None, str]:
    """Run the command with the settings of the bot: its exit status, and what it said."""
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("threadsmith"),
        *arguments,
        env={**os.environ, **deployment.bot.environment},
        cwd=deployment.bot.data_dir,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await process.communicate()
    return process.returncode, told.decode()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(
    engine: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    """One playground and one bot for the tests of a module."""
    async with running(PlaygroundSettings()) as playground:
        data_dir = tmp_path_factory.mktemp("data")
        async with deployed(playground, data_dir) as deployment:
            yield deployment


@pytest.fixture
def leftovers(deployment: Deployment) -> Iterator[None]:
    """Nothing may be left in the engine after the test."""
    yield
    until = time.monotonic() + 5
    # The volumes go after the container, whose end is what the test has waited for.
    while left := [*deployment.bot.containers(), *deployment.bot.volumes()]:
        if time.monotonic() > until:
            break
        time.sleep(0.1)  # the engine has no event that this client could await
    if left:
        deployment.bot.remove_agents()  # the next test starts with nothing all the same
    assert left == []
