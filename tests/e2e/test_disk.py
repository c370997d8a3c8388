"""A tool that fills the disk: one large file, many files, and a process that goes on writing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from playground.model.parsed_conversation import ScriptedCall, ScriptedTurn
from playground.model.scenarios import sequence
from playground.server import PlaygroundSettings, running
from tests.e2e.conftest import Deployment, deployed, docker

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow(40),
]

LIMIT = 64 * 2**20
# Slow enough that a look every few seconds finds it in the middle; the patch of it is small, so
# that a stop reads all of it and keeps no files.
MANY_FILES = """
import pathlib, time
for number in range(200):
    pathlib.Path(f"blob-{number}").write_bytes(bytes(2**22))
    time.sleep(0.2)
"""
SCENARIOS = {
    "one-file": ScriptedCall(
        "run_command", {"command": ["dd", "if=/dev/zero", "of=big", "bs=1M", "count=100"]}
    ),
    "many-files": ScriptedCall("run_command", {"command": ["python3", "-c", MANY_FILES]}),
    "in-background": ScriptedCall("start_process", {"command": ["python3", "-c", MANY_FILES]}),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(
    engine: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    async with running(PlaygroundSettings()) as playground:
        for name, call in SCENARIOS.items():
            scenario = sequence(ScriptedTurn("I write.", (call,)), ScriptedTurn("That was it."))
            playground.model.scenarios.add(name, scenario)
        data_dir: Path = tmp_path_factory.mktemp("data")
        settings = {
            "CONTAINER_DISK_BYTES": str(LIMIT),
            "COMMAND_ALLOW": "dd",
            "COMMAND_TIMEOUT_SECONDS": "60",
        }
        async with deployed(playground, data_dir, settings) as deployment:
            yield deployment


async def started(deployment: Deployment, scenario: str) -> str:
    return await deployment.person().say(
        f"demo/todo --model scripted/{scenario} go", "dev", mention=True
    )


def size_of_workspace(container: str) -> int:
    return int(docker("exec", "--user=10002", container, "du", "-sb", "/workspace").split()[0])


async def ended(deployment: Deployment, thread: str) -> None:
    await deployment.person().say("stop", "dev", thread)
    await deployment.wait_for_reply("Stopped by", thread, "dev")
    await deployment.no_containers()


async def test_no_file_grows_beyond_the_limit(deployment: Deployment, leftovers: None) -> None:
    thread = await started(deployment, "one-file")
    await deployment.wait_for_reply("That was it", thread, "dev")
    [container] = deployment.bot.containers()
    size = docker("exec", "--user=10002", container, "stat", "-c", "%s", "/workspace/big")
    assert int(size) == LIMIT
    await ended(deployment, thread)


async def test_many_files_interrupt_the_task(deployment: Deployment, leftovers: None) -> None:
    thread = await started(deployment, "many-files")
    said = await deployment.wait_for_reply("Its task was interrupted", thread, "dev")
    assert "of 64 MiB" in said["text"]
    [container] = deployment.bot.containers()
    size = size_of_workspace(container)
    assert LIMIT < size < 200 * 2**22
    assert size_of_workspace(container) == size  # nothing writes any more
    await ended(deployment, thread)


async def test_a_process_that_goes_on_writing_is_stopped_with_its_container(
    deployment: Deployment, leftovers: None
) -> None:
    thread = await started(deployment, "in-background")
    await deployment.wait_for_reply("That was it", thread, "dev")
    await deployment.wait_for_reply("Its container was stopped", thread, "dev")
    [container] = deployment.bot.containers()
    assert docker("inspect", "--format", "{{.State.Running}}", container) == "false"
    # The agent is there all the same, and may tidy up.
    await deployment.person().say("model: scripted/echo\ntidy up", "dev", thread)
    await deployment.wait_for_reply("tidy up", thread, "dev")
    await ended(deployment, thread)
