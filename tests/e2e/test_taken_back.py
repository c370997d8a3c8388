"""The last task is taken back: the files, the diff, and what there is to push."""

import pytest

from playground.model.parsed_conversation import ParsedConversation, ScriptedCall, ScriptedTurn
from playground.slack.plain_text import message_text
from tests.e2e.conftest import Deployment, docker

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]


def writing(conversation: ParsedConversation) -> ScriptedTurn:
    """The first task writes a file; the second changes it and the README, and adds another."""
    number = len(conversation.tasks)
    if conversation.turn:
        return ScriptedTurn(f"Written, number {number}.")
    wishes = {"notes.txt": f"{number}\n"}
    if number > 1:
        wishes |= {"more.txt": "more\n", "README.md": "gone\n"}
    calls = [ScriptedCall("write_file", {"path": p, "content": text}) for p, text in wishes.items()]
    return ScriptedTurn("", tuple(calls))


async def test_undo_takes_back_the_last_task_then_the_one_before_and_nothing_is_left_to_push(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person("ana")
    deployment.script("write it down", writing)
    thread = await deployment.start_agent("demo/todo", "write it down")
    first = (await deployment.wait_for_reply("Written, number 1.", thread, "dev"))["ts"]
    await ana.say("write more", "dev", thread)
    second = (await deployment.wait_for_reply("Written, number 2.", thread, "dev"))["ts"]
    [container] = deployment.bot.containers()

    def inside(*command: str) -> str:
        return docker("exec", "--user", "10001", "--workdir", "/workspace", container, *command)

    def changed() -> list[str]:
        status = inside("git", "-c", "safe.directory=/workspace", "status", "--porcelain")
        return sorted(line.split()[-1] for line in status.splitlines())

    async def diff(contains: str) -> str:
        assert (await ana.click("agent_diff", "dev", second)).ok
        view = await ana.wait_for_view(contains, timeout_seconds=20)
        await ana.close_view()
        return message_text({"text": "", "blocks": view.spec["blocks"]})

    assert changed() == ["README.md", "more.txt", "notes.txt"]
    await ana.click("agent_undo", "dev", first)
    await ana.wait_for_ephemeral("Another task has worked since")
    await ana.click("agent_undo", "dev", second)
    await deployment.wait_for_reply("undid the last task", thread, "dev", after=second)
    assert changed() == ["notes.txt"]
    assert inside("cat", "notes.txt") == "1"
    assert "README.md" not in await diff("notes.txt")

    undone = ana.thread("dev", thread)[-1]["ts"]
    await ana.click("agent_undo", "dev", second)
    await ana.wait_for_ephemeral("This task is undone already")
    await ana.click("agent_undo", "dev", first)
    await deployment.wait_for_reply("undid the last task", thread, "dev", after=undone)
    assert changed() == []
    await diff("No file")
    branches = await deployment.playground.git.branches("demo/todo")
    await ana.click("agent_push", "dev", second)
    await ana.wait_for_ephemeral("Nothing to push")
    await ana.click("agent_pull", "dev", second)
    await deployment.settled()
    assert await deployment.playground.git.branches("demo/todo") == branches
    assert "demo/todo" not in deployment.playground.git.api.pulls
    await deployment.stop_agent(thread)
