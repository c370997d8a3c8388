"""A whole workplace with an engine of its own, which is ended and started again under agents.

Run by test_engine_restart.py inside namespaces of its own (network, mounts, processes), so that
nothing here can touch the engine of this machine: `second_engine.py FOLDER IMAGE_TAR SIGNAL`.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playground.model.server import ModelSettings
from playground.server import PlaygroundSettings, running
from playground.slack.slack_settings import SlackSettings
from tests.e2e.conftest import Bot, Deployment, docker, environment_of
from tests.faults.conftest import EDIT_THEN_WAIT

ENGINE_SECONDS = 30
# The interval alone would take far longer than what is waited for here.
SLOW = {"RECONCILE_SECONDS": "300", "SLEEP_AFTER_SECONDS": "3600"}


class Engine:
    """One engine below a folder; its containers and their data are all there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.socket = folder / "engine.sock"
        (folder / "engine.json").write_text("{}")

    async def start(self) -> None:
        folder = self._folder
        with (folder / "engine.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                "dockerd",
                *("--config-file", str(folder / "engine.json")),
                *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
                *("--pidfile", str(folder / "engine.pid"), "--host", f"unix://{self.socket}"),
                *("--ip", "127.0.0.1"),
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(ENGINE_SECONDS):
            while not await asyncio.to_thread(_answers):
                assert self._process.returncode is None, (folder / "engine.log").read_text()
                await asyncio.sleep(0.1)  # an engine that starts has no event to await

    async def end(self, number: int) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)
        async with asyncio.timeout(ENGINE_SECONDS):
            await self._process.wait()
        # A killed engine takes its containerd along, which nobody here collects as an init would.
        for stale in (
            self._folder / "engine.pid",
            *(self._folder / "exec").rglob("containerd.pid"),
        ):
            stale.unlink(missing_ok=True)


def _answers() -> bool:
    asked = subprocess.run(["docker", "version"], capture_output=True, check=False)
    return asked.returncode == 0


@asynccontextmanager
async def workplace(folder: Path) -> AsyncIterator[Deployment]:
    data_dir = folder / "bot"
    data_dir.mkdir()
    settings = PlaygroundSettings(
        model=ModelSettings(chunk_delay_seconds=0.03), slack=SlackSettings(limits_enabled=False)
    )
    async with running(settings) as playground:
        playground.model.scenarios.add("edit-then-wait", EDIT_THEN_WAIT)
        bot = Bot(environment_of(playground, data_dir) | SLOW, data_dir)
        await bot.start()
        try:
            yield Deployment(playground, bot)
        finally:
            await bot.end()


async def scenario(deployment: Deployment, engine: Engine, number: int) -> None:
    """One agent at work and one that is idle; the engine goes and comes back."""
    ana = deployment.person("ana")
    idle = await ana.say("demo/todo fix the failing test", "dev", mention=True)
    await deployment.wait_for_reply("all pass", idle, "dev", seconds=60)
    working = await ana.say(
        "demo/todo --model scripted/edit-then-wait mend it", "dev", mention=True
    )
    await deployment.wait_for_reply("⋯ run", working, "dev", seconds=60)
    containers = sorted(deployment.bot.containers())
    assert len(containers) == 2
    before = {thread: len(ana.thread("dev", thread)) for thread in (idle, working)}

    await engine.end(number)
    begun = await ana.say("demo/todo say hello", "dev", mention=True)
    await deployment.wait_for_reply("… engine", begun, "dev", seconds=60)
    await engine.start()

    told = await deployment.wait_for_reply('reply "go on"', working, "dev", seconds=60)
    slept = await deployment.wait_for_reply("A reply wakes it", idle, "dev", seconds=60)
    await deployment.wait_for_reply("scripted model", begun, "dev", seconds=60)
    # One notice for each, and nothing more.
    for thread, notice in ((working, told), (idle, slept)):
        ours = [m["text"] for m in ana.thread("dev", thread)[before[thread] :]]
        assert ours == [notice["text"]], ours
        sys.stdout.write(f"{notice['text']}\n")
    await ana.say("what did you change?", "dev", idle)
    answer = await deployment.wait_for_reply("The checkout now", idle, "dev", seconds=60)
    assert "M todo/items.py" in answer["blocks"][0]["text"]
    await ana.say("what did you change?", "dev", working)
    await deployment.wait_for_reply(
        "⋯ run", working, "dev", seconds=60
    )  # the card stands below the notice
    assert set(containers) < set(deployment.bot.containers())
    for thread in (idle, working, begun):
        await ana.say("stop", "dev", thread)
        await deployment.wait_for_reply("Stopped by", thread, "dev", seconds=60)
    await deployment.no_containers()
    assert deployment.bot.volumes() == []


async def main(folder: Path, image: Path, number: int) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    engine = Engine(folder)
    os.environ["DOCKER_HOST"] = f"unix://{engine.socket}"
    await engine.start()
    docker("load", "--quiet", "--input", str(image))
    try:
        async with workplace(folder) as deployment:
            await scenario(deployment, engine, number)
    finally:
        await engine.end(signal.SIGTERM)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
