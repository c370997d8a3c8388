"""An agent's commits, on its own branch at the git host after its task, and before its end."""

import pytest

from playground.model.parsed_conversation import ScriptedCall, ScriptedTurn
from playground.model.scenarios import sequence
from tests.e2e.conftest import Stage

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]


def run(*command: str) -> ScriptedTurn:
    return ScriptedTurn("", (ScriptedCall("run_command", {"command": list(command)}),))


async def test_what_an_agent_commits_is_on_its_branch_at_the_host(
    stage: Stage, leftovers: None
) -> None:
    ana, git = stage.person("ana"), stage.playground.git
    story = sequence(
        run("python3", "-c", "open('new.txt', 'w').write('hello')"),
        run("git", "add", "new.txt"),
        run("git", "commit", "-m", "Add a file"),
        ScriptedTurn("Committed."),
    )
    stage.playground.model.scenarios.add("commit", story)
    main = await git.git("demo/todo", "rev-parse", "main")
    await ana.slash("/agent", "demo/todo --model scripted/commit add a file")
    thread = (await stage.root("add a file"))["ts"]
    await stage.said("Committed.", thread)

    def is_pushed() -> bool:
        asked = stage.playground.feed.entries("git_request")
        # Twice the list of references, once for git and once for the gateway, and then the push.
        return [one.data["service"] for one in asked].count("git-receive-pack") >= 3

    await stage.playground.feed.until(is_pushed)
    await ana.react("general", thread, "octagonal_sign")
    said = await stage.said("Stopped by", thread)
    assert "Its commits are on the branch" in said["text"]
    [branch] = [name for name in await git.branches("demo/todo") if name.startswith("agent/")]
    assert await git.git("demo/todo", "show", f"{branch}:new.txt") == "hello"
    assert await git.git("demo/todo", "rev-parse", "main") == main
    await stage.no_containers()
