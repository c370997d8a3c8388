"""An agent's commits, on its own branch at the git host after its task, and before its end."""

import pytest

from playground.model.parsed_conversation import ScriptedCall, ScriptedTurn
from playground.model.scenarios import sequence
from tests.e2e.conftest import Deployment

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]


def run(*command: str) -> ScriptedTurn:
    return ScriptedTurn("", (ScriptedCall("run_command", {"command": list(command)}),))


async def test_what_an_agent_commits_is_on_its_branch_at_the_host(
    deployment: Deployment, leftovers: None
) -> None:
    ana, git = deployment.person("ana"), deployment.playground.git
    scenario = sequence(
        run("python3", "-c", "open('new.txt', 'w').write('hello')"),
        run("git", "add", "new.txt"),
        run("git", "commit", "-m", "Add a file"),
        ScriptedTurn("Committed."),
    )
    deployment.playground.model.scenarios.add("commit", scenario)
    main = await git.git("demo/todo", "rev-parse", "main")
    await ana.slash("/agent", "demo/todo --model scripted/commit add a file")
    thread = (await deployment.wait_for_root("add a file"))["ts"]
    await deployment.wait_for_reply("Committed.", thread)

    def is_pushed() -> bool:
        asked = deployment.playground.feed.entries("git_request")
        # Twice the list of references, once for git and once for the gateway, and then the push.
        return [one.data["service"] for one in asked].count("git-receive-pack") >= 3

    await deployment.playground.feed.until(is_pushed)
    await ana.react("general", thread, "octagonal_sign")
    said = await deployment.wait_for_reply("Stopped by", thread)
    assert "Its commits are on the branch" in said["text"]
    [branch] = [name for name in await git.branches("demo/todo") if name.startswith("agent/")]
    assert await git.git("demo/todo", "show", f"{branch}:new.txt") == "hello"
    assert await git.git("demo/todo", "rev-parse", "main") == main
    await deployment.no_containers()
