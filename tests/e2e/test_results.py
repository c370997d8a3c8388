"""What an agent made, read, taken and proposed without leaving the thread."""

import json
import subprocess
from pathlib import Path

import pytest

from playground.model.parsed_conversation import ScriptedCall, ScriptedTurn
from playground.model.scenarios import sequence
from playground.slack.plain_text import message_text
from playground.slack.user_client import UserClient
from tests.e2e.conftest import Deployment

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
    pytest.mark.slow(25),
]

HOSTILE = (
    "<!channel> <@U00000BEN> @here *b* `c` ```d <https://evil.invalid|bank> \u202eabc\u200b\x07"
)
ANSWER = f"# Result\n\n{HOSTILE}\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n" + "".join(
    f"- row {n} {HOSTILE}\n" for n in range(1_400)
)


def seen(person: UserClient) -> str:
    return message_text({"text": "", "blocks": person.views()[-1].spec["blocks"]})


def run(code: str) -> ScriptedTurn:
    return ScriptedTurn("", (ScriptedCall("run_command", {"command": ["python3", "-c", code]}),))


async def test_hostile_work_is_read_applied_pushed_and_proposed(  # noqa: PLR0915  (one story)
    deployment: Deployment, leftovers: None, tmp_path: Path
) -> None:
    ana, ben, git = deployment.person("ana"), deployment.person("ben"), deployment.playground.git
    write = f"open('<!here> x.txt', 'w').write({HOSTILE!r} * 30); print({HOSTILE!r} * 40)"
    scenario = sequence(run(write), ScriptedTurn(ANSWER))
    deployment.playground.model.scenarios.add("hostile", scenario)
    await ana.slash("/agent", "demo/todo --model scripted/hostile write it down")
    thread = (await deployment.wait_for_root("write it down"))["ts"]
    await deployment.wait_for_reply("Show diff", thread, seconds=60)

    # The answer: more than 120,000 characters, all of it, and nobody is pinged.
    said = ana.thread("general", thread)
    parts = [b["text"] for m in said for b in m.get("blocks", []) if b["type"] == "markdown"]
    assert len(ANSWER) > 120_000
    assert all(f"- row {n} " in "".join(parts) for n in range(1_400))
    assert "| 1 | 2 |" in parts[0]
    for message in said:
        shown = json.dumps(message.get("blocks", [])) + message["text"]
        assert "<!channel>" not in shown
        assert "<!here>" not in shown
        assert "<@U00000BEN>" not in shown
        assert "\\u202e" not in shown

    # The steps and the changes, while the container runs.
    assert (await ana.click("agent_details", "general")).ok
    await ana.wait_for_view("Result", timeout_seconds=20)
    assert "<!channel> <@U00000BEN>" in seen(ana)  # literally, in a block that reads no markup
    assert "\\u202eabc\\u200b" in seen(ana)
    await ana.close_view()
    await ana.click("agent_diff", "general")
    await ana.wait_for_view("x.txt", timeout_seconds=20)
    await ana.click_view("results_turn:read")
    await ana.wait_for_view("+<!channel>", timeout_seconds=20)
    await ana.close_view()

    # The patch applies to a clone of what it is a patch of.
    await ana.click("agent_patch", "general")
    await deployment.playground.feed.until(lambda: bool(_files(ana, thread)))
    [patch] = _files(ana, thread)
    clone = tmp_path / "clone"
    source = git.root / "demo/todo.git"
    subprocess.run(["git", "clone", "--quiet", str(source), str(clone)], check=True)
    subprocess.run(["git", "apply", "-"], cwd=clone, input=patch, check=True)
    assert (clone / "<!here> x.txt").read_text() == HOSTILE * 30

    # A pull request: described by the model from the diff, with the people and the thread.
    await ben.click("agent_pull", "general")
    opened = await deployment.wait_for_reply("*Pull request", thread)
    assert "opened by <@U00000BEN>" in opened["text"]
    [pull] = git.api.pulls["demo/todo"]
    assert (pull.title, pull.base) == ("Write it down", "main")
    assert "What the diff shows" in pull.body
    assert "Asked for by" in pull.body
    assert f"p{thread.replace('.', '')}" in pull.body
    assert (await git.git("demo/todo", "show", f"{pull.head}:<!here> x.txt")) == HOSTILE * 30
    await ana.click("agent_pull", "general")
    await deployment.wait_for_reply("has the newest commits", thread)
    assert len(git.api.pulls["demo/todo"]) == 1
    pull.state, pull.merged = "closed", True
    await ana.slash("/agent", "status")
    await ana.wait_for_ephemeral("#1> merged")

    # Without a container: from what the host kept.
    await ana.react("general", thread, "octagonal_sign")
    await deployment.wait_for_reply("Stopped by", thread)
    await deployment.no_containers()
    await ana.click("agent_diff", "general")
    await ana.wait_for_view("As it was kept on the host", timeout_seconds=20)


def _files(person: UserClient, thread: str) -> list[bytes]:
    """The files in a thread."""
    workspace = person.workspace.state
    found = [f for m in person.thread("general", thread) for f in m.get("files", [])]
    return [workspace.files[file["id"]].content or b"" for file in found]
