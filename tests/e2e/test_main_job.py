"""The main job on real parts: Slack's protocol, a container, git over HTTP, a model, a thread."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import Deployment, docker
from tests.harness.git import run_git

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]


def filed_patch(deployment: Deployment, thread: str) -> bytes | None:
    """The newest patch in the thread, once it is shared."""
    files = [f for f in deployment.playground.slack.state.files.values() if f.shares]
    mine = [f for f in files if any(thread in share for share in f.shares)]
    return mine[-1].content if mine else None


async def test_a_command_becomes_work_a_reply_continues_it_and_a_reaction_ends_it(
    deployment: Deployment, leftovers: None, tmp_path: Path
) -> None:
    ana = deployment.person("ana")
    # Start: the command is acknowledged, the root message names repository and branch.
    assert (await ana.slash("/agent", "demo/todo fix the failing test")).ok
    root = await deployment.wait_for_root("fix the failing test")
    thread = root["ts"]
    assert "demo/todo" in root["blocks"][0]["text"]["text"]

    # The work: the answer is a message of its own, and the file really changed.
    answer = await deployment.wait_for_reply("is_overdue", thread)
    assert [block["type"] for block in answer["blocks"]] == [
        "markdown",
        "context",  # the checks that ran
        "context",
        "actions",
    ]
    assert "all pass" in answer["blocks"][0]["text"]
    assert "unittest" in (said := answer["blocks"][1]["elements"][0]["text"])
    assert "exit 0" in said
    [container] = deployment.bot.containers()
    # As the bridge's user: what is the tools' is ended whenever a tool is.
    git_diff = ("git", "-c", "safe.directory=/workspace", "-C", "/workspace", "diff")
    diff = docker("exec", "--user", "10001", container, *git_diff)
    assert "+    return not item.done and item.due is not None and item.due < today" in diff
    sockets = deployment.bot.sockets(container)

    # The card ended as one line, edited in place: root, card, answer and no more.
    await deployment.wait_for_reply("✓ *Task 1*", thread)
    texts = [message["text"] for message in ana.thread("general", thread)]
    assert len(texts) == 3
    assert texts[1].startswith("✓ *Task 1* · 8 steps")

    # The changes so far, as a file that git accepts on the source branch.
    await ana.click("agent_patch", "general", answer["ts"])
    patch = await deployment.playground.feed.until(lambda: filed_patch(deployment, thread))
    run_git(
        tmp_path, "clone", "--quiet", str(deployment.playground.git.root / "demo/todo.git"), "c"
    )
    (tmp_path / "a.patch").write_bytes(patch)
    run_git(tmp_path / "c", "apply", "../a.patch")
    assert run_git(tmp_path / "c", "diff", "--numstat") == "1\t1\ttodo/items.py"

    # A reply, with no mention, is the next task of the same container and conversation.
    reply = await ana.say("what did you change?", "general", thread)
    second = await deployment.wait_for_reply("This is task 2", thread)
    assert "fix the failing test" in second["blocks"][0]["text"]
    assert deployment.bot.containers() == [container]
    told = [message["content"] for message in deployment.playground.model.requests[-1].messages]
    assert any("fix the failing test" in str(content) for content in told)
    marks = {
        reaction["name"]
        for message in ana.thread("general", thread)
        if message["ts"] == reply
        for reaction in message.get("reactions", [])
    }
    assert marks == {"eyes", "white_check_mark"}

    # The reaction, by somebody else, on any message of the thread.
    await deployment.person("ben").react("general", answer["ts"], "octagonal_sign")
    stopped = await deployment.wait_for_reply("Stopped by", thread)
    assert "1 file, +1 \u22121" in stopped["blocks"][0]["text"]["text"]
    await deployment.no_containers()
    assert not sockets.exists()
    await deployment.playground.feed.until(
        lambda: len([m for m in ana.thread("general", thread) if m.get("files")]) == 2 or None
    )


async def test_stop_ends_a_running_command_within_five_seconds(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person("ana")
    await ana.slash("/agent", "demo/todo --model scripted/long take your time", "dev")
    root = await deployment.wait_for_root("take your time", "dev")
    card = await deployment.wait_for_reply("⋯ run", root["ts"], "dev")
    [container] = deployment.bot.containers()
    assert "time.sleep" in docker("top", container)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await ana.react("dev", card["ts"], "octagonal_sign")
    while container in await asyncio.to_thread(deployment.bot.containers) and "time.sleep" in (
        await asyncio.to_thread(_processes, container)
    ):
        await asyncio.sleep(0.05)  # what we wait for is a process's end inside the container
        assert loop.time() - began < 5
    await deployment.wait_for_reply("Stopped by", root["ts"], "dev")
    await deployment.no_containers()


def _processes(container: str) -> str:
    result = subprocess.run(
        ["docker", "top", container], capture_output=True, text=True, check=False
    )
    return result.stdout


async def test_a_reply_while_it_works_is_taken_up_before_the_next_model_call(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person("ana")
    await ana.slash("/agent", "demo/todo --model scripted/long --steps 50 patience", "dev")
    root = await deployment.wait_for_root("patience", "dev")
    await deployment.wait_for_reply("⋯ run", root["ts"], "dev")
    reply = await ana.say("and mind the docs", "dev", root["ts"])
    await deployment.playground.feed.until(
        lambda: (
            any(
                r["name"] == "eyes"
                for m in ana.thread("dev", root["ts"])
                if m["ts"] == reply
                for r in m.get("reactions", [])
            )
            or None
        ),
        timeout_seconds=10,
    )
    # The running command takes 20 s; an interrupt ends the task, and the reply starts the next.
    card = await deployment.wait_for_reply("⋯ run", root["ts"], "dev")
    await ana.click("agent_interrupt", "dev", card["ts"])
    seen = await deployment.playground.feed.until(
        lambda: next(
            (
                r
                for r in deployment.playground.model.requests
                if "and mind the docs" in str(r.messages[-1].get("content"))
            ),
            None,
        ),
        timeout_seconds=15,
    )
    assert "patience" in str(seen.messages)
    await deployment.stop_agent(root["ts"])
