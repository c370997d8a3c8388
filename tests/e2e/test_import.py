"""A conversation leaves one deployment in a file and goes on in another, in a real container."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from playground.server import PlaygroundSettings, running
from tests.e2e.conftest import Deployment, deployed, threadsmith

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
]
REMEMBER = "fix the failing test, and remember the word kingfisher"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def other(
    engine: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    """Another deployment: a workspace, a provider and a data directory of its own."""
    async with running(PlaygroundSettings()) as playground:
        data_dir = tmp_path_factory.mktemp("other")
        async with deployed(playground, data_dir) as deployment:
            yield deployment


async def done(deployment: Deployment, *arguments: str) -> str:
    """What the command said; fails the test with its words."""
    status, said = await threadsmith(deployment, *arguments)
    assert status == 0, said
    return said


async def ended(deployment: Deployment, task: str) -> tuple[str, str]:
    """An agent that has done one task and was stopped: its id and its thread."""
    ana = deployment.person("ana")
    assert (await ana.slash("/agent", f"demo/todo {task}")).ok
    root = await deployment.wait_for_root(task)
    await deployment.wait_for_reply("✓ *Task 1*", root["ts"])
    await ana.slash("/agent", "list")
    listed = await ana.wait_for_ephemeral("1 agent runs here")
    await deployment.stop_agent(root["ts"], "general")
    return listed.text.split("`")[1], root["ts"]


async def test_an_exported_conversation_goes_on_in_another_deployment(
    deployment: Deployment, other: Deployment, tmp_path: Path, leftovers: None
) -> None:
    first, _ = await ended(deployment, REMEMBER)
    second, thread = await ended(other, "fix the failing test here")
    file = tmp_path / "record.json"
    assert "events" in await done(deployment, "export", first, "-o", str(file))
    assert "restart" in await done(other, "import", second, str(file))

    ana = other.person("ana")
    before = len(other.playground.model.requests)
    await ana.say("restart", "general", thread)
    await other.wait_for_reply("new one", thread, after=thread)
    await ana.say("which word was it?", "general", thread)
    await other.wait_for_reply("✓ *Task 2*", thread)
    [asked, *_] = other.playground.model.requests[before:]
    said = [str(message.get("content")) for message in asked.body["messages"]]
    assert any(REMEMBER in text for text in said)
    assert any("which word was it?" in text for text in said)
    assert not any("fix the failing test here" in text for text in said)
    # What the first agent's tools gave is there, too, so that it can be built upon.
    assert any(message["role"] == "tool" for message in asked.body["messages"])

    await ana.say("stop", "general", thread)
    await other.wait_for_reply("Stopped by", thread)
    await other.no_containers()
