"""A stop in each phase of an agent's life: one line says by whom, and nothing is left of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from playground.model.parsed_conversation import ScriptedCall, ScriptedTurn
from playground.model.scenarios import sequence
from playground.server import PlaygroundSettings, running
from playground.slack.fault_plan import FaultKind
from tests.e2e.conftest import Deployment, deployed, docker
from tests.e2e.patience import Patient

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow(30),
]

ENGINE = "/var/run/docker.sock"
CREATE = b"/containers/create?"


class SlowEngine:
    """The engine behind a socket that keeps the answer to the making of a container back."""

    def __init__(self) -> None:
        self.answers = asyncio.Event()
        self.answers.set()
        self.asked = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """End every connection."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection, both ways, until either end closes."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        far_reader, far_writer = await asyncio.open_unix_connection(ENGINE)
        making = asyncio.Event()

        async def up() -> None:
            while piece := await reader.read(65_536):
                if CREATE in piece.partition(b"\r\n")[0]:
                    making.set()
                    self.asked.set()
                far_writer.write(piece)
                await far_writer.drain()
            far_writer.write_eof()

        async def down() -> None:
            while piece := await far_reader.read(65_536):
                if making.is_set():
                    await self.answers.wait()
                writer.write(piece)
                await writer.drain()
            writer.close()

        try:
            with suppress(OSError, ExceptionGroup):
                async with asyncio.TaskGroup() as group:
                    group.create_task(up())
                    group.create_task(down())
        finally:
            for one in (writer, far_writer):
                one.transport.abort()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine_between(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SlowEngine]:
    """An engine that can be slow, at `engine_between.path`."""
    slow = SlowEngine()
    path = tmp_path_factory.mktemp("engine") / "e.sock"
    server = await asyncio.start_unix_server(slow.serve, str(path))
    slow.path = path  # type: ignore[attr-defined]
    yield slow
    slow.answers.set()
    server.close()
    await slow.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(
    engine: None, engine_between: SlowEngine, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    """A bot whose engine can be slow, and which looks for leftovers every second."""
    async with running(PlaygroundSettings()) as playground:
        data_dir: Path = tmp_path_factory.mktemp("data")
        settings = {
            "DOCKER_HOST": f"unix://{engine_between.path}",  # type: ignore[attr-defined]
            "RECONCILE_SECONDS": "1",
        }
        async with deployed(playground, data_dir, settings) as deployment:
            yield deployment


async def over(deployment: Deployment, thread: str, by: str) -> str:
    """Wait for the end of an agent, and look that nothing of it is left; what was said."""
    said = await deployment.wait_for_reply(f"Stopped by <@{by}>", thread, "dev", seconds=15)
    await deployment.no_containers()
    async with asyncio.timeout(10):
        while await asyncio.to_thread(deployment.bot.volumes):
            await asyncio.sleep(0.1)  # as for containers
    await deployment.settled()
    shown = [m for m in deployment.person().thread("dev", thread) if "Stopped by" in m["text"]]
    assert len(shown) == 1
    agent = f"SELECT id FROM agent WHERE thread_ts = '{thread}'"
    assert deployment.stored(f"SELECT status, placed FROM agent WHERE id = ({agent})") == [
        ("stopped", 0)
    ]
    await deployment.playground.feed.until(lambda: not _is_at_work(deployment, thread), 20)
    # The other agents do not suffer from it: there are none, and none is thought to be there.
    await deployment.person().slash("/agent", "list", "dev")
    await deployment.person().wait_for_ephemeral("No agent")
    return str(said["text"])


def _is_at_work(deployment: Deployment, thread: str) -> bool:
    """Whether any message of the thread shows work that goes on."""
    texts = [message["text"] for message in deployment.person().thread("dev", thread)]
    words = ("*Working*", "*Starting*", "*Waiting")
    return any(word in text for text in texts for word in words)


async def test_while_its_container_is_made(
    deployment: Deployment, engine_between: SlowEngine, leftovers: None
) -> None:
    engine_between.asked.clear()
    engine_between.answers.clear()
    try:
        thread = await deployment.start_agent("demo/todo", "stop me while I boot")
        async with asyncio.timeout(10):
            await engine_between.asked.wait()
        await deployment.wait_for_reply("… container", thread, "dev")
        await deployment.person("ben").say("stop", "dev", thread)
        await (
            deployment.playground.slack.delivery.idle()
        )  # the word is taken before the engine answers
    finally:
        engine_between.answers.set()
    assert "It had not begun" in await over(deployment, thread, "U00000BEN")


async def test_while_it_clones(deployment: Deployment, leftovers: None) -> None:
    git = deployment.playground.git
    thread = await deployment.start_agent("demo/todo", "stop me while I clone")
    git.hold()  # its container starts first, which takes longer than this
    try:
        card = await deployment.wait_for_reply("… clone", thread, "dev")
        await deployment.person("ben").react("dev", card["ts"], "octagonal_sign")
        assert "It had not begun" in await over(deployment, thread, "U00000BEN")
    finally:
        git.release()


async def test_while_the_model_speaks(deployment: Deployment, leftovers: None) -> None:
    model, feed = deployment.playground.model, deployment.playground.feed
    scenario = sequence(ScriptedTurn("word " * 500))
    deployment.script("stop me while I speak", scenario)
    thread = await deployment.start_agent("demo/todo", "stop me while I speak")
    model.fail_next("keepalive")
    hanging = await feed.until(
        lambda: [e for e in feed.entries("model_request") if e.data["fault"] == "keepalive"], 20
    )
    assert hanging
    card = await deployment.wait_for_reply("▶ *Working*", thread, "dev")
    assert (await deployment.person("ben").click("agent_stop", "dev", card["ts"])).ok
    assert "No file was changed" in await over(deployment, thread, "U00000BEN")
    # Nobody pays for words that nobody reads.
    await feed.until(lambda: feed.entries("model_reader_gone"), 10)


async def test_while_a_tool_runs(deployment: Deployment, leftovers: None) -> None:
    sleep = "open('a.txt', 'w').write('a'); import time; time.sleep(60)"
    scenario = sequence(
        ScriptedTurn("", (ScriptedCall("run_command", {"command": ["python3", "-c", sleep]}),))
    )
    deployment.script("stop me while I run", scenario)
    thread = await deployment.start_agent("demo/todo", "stop me while I run")
    card = await deployment.wait_for_reply("⋯ run_command", thread, "dev")
    [agent] = deployment.stored(f"SELECT id FROM agent WHERE thread_ts = '{thread}'")
    assert (await deployment.person("ben").shortcut("stop_agent", "dev", card["ts"])).ok
    assert "1 file, +1" in await over(deployment, thread, "U00000BEN")
    files = await deployment.playground.feed.until(
        lambda: [m for m in deployment.person().thread("dev", thread) if m.get("files")], 20
    )
    assert f"{agent[0]}.patch" in str(files)


async def test_while_its_bridge_is_frozen(deployment: Deployment, leftovers: None) -> None:
    sleep = "open('late.txt', 'w').write('a'); import time; time.sleep(60)"
    scenario = sequence(
        ScriptedTurn("", (ScriptedCall("run_command", {"command": ["python3", "-c", sleep]}),))
    )
    deployment.script("stop me while I am frozen", scenario)
    thread = await deployment.start_agent("demo/todo", "stop me while I am frozen")
    await deployment.wait_for_reply("⋯ run_command", thread, "dev")
    [container] = deployment.bot.containers()
    async with asyncio.timeout(10):
        while "late.txt" not in docker("exec", container, "ls", "/workspace"):
            await asyncio.sleep(0.1)  # the file tells nobody
    await asyncio.to_thread(docker, "pause", container)
    await deployment.person("ben").say("stop", "dev", thread)
    await deployment.wait_for_reply("could not be read in time", thread, "dev", seconds=15)
    late = await deployment.wait_for_reply("Read after the stop", thread, "dev")
    assert "late.txt" in late["text"]
    assert container not in await asyncio.to_thread(deployment.bot.containers)
    await over(deployment, thread, "U00000BEN")
    assert [m for m in deployment.person().thread("dev", thread) if m.get("files")]


async def test_while_slack_keeps_the_answer_back(deployment: Deployment, leftovers: None) -> None:
    scenario = Patient()
    deployment.script("stop me before I answer", scenario)
    thread = await deployment.start_agent("demo/todo", "stop me before I answer")
    await deployment.wait_for_reply("run_command", thread, "dev")
    deployment.playground.slack.faults.fail("chat.postMessage", FaultKind.RATE_LIMITED, seconds=4)
    scenario.let_go()
    async with asyncio.timeout(20):
        while deployment.stored(f"SELECT status FROM agent WHERE thread_ts = '{thread}'") != [
            ("idle",)
        ]:
            await asyncio.sleep(0.05)  # another process's database tells nobody
    await deployment.person("ben").react("dev", thread, "octagonal_sign")
    await over(deployment, thread, "U00000BEN")
    texts = [m["text"] for m in deployment.person().thread("dev", thread)]
    [answer] = [n for n, text in enumerate(texts) if text.startswith("Ended:")]
    [stopped] = [n for n, text in enumerate(texts) if "Stopped by" in text]
    assert answer < stopped  # nothing is lost, and it is told in order
