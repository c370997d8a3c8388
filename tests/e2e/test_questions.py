"""An agent asks people, and waits: over the death of the bot, for a click, a reply, or a leave."""

import signal

import pytest

from playground.model.parsed_conversation import ParsedConversation, ScriptedCall, ScriptedTurn
from playground.model.scenarios import Scenario
from tests.e2e.conftest import Deployment

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
    pytest.mark.slow(25),
]

QUESTION = {"question": "In which order?", "options": ["oldest first", "newest first"]}


def asking(conversation: ParsedConversation) -> ScriptedTurn:
    """Ask, then say what was answered."""
    task = conversation.task
    if not task.turns:
        return ScriptedTurn("", (ScriptedCall("ask_user", QUESTION),))
    return ScriptedTurn(f"I was told: {task.results[-1].text} {task.steering}")


def trying(*commands: list[str]) -> Scenario:
    """A story that tries commands one after the other, and says how each of them went."""

    def scenario(conversation: ParsedConversation) -> ScriptedTurn:
        if conversation.turn < len(commands):
            call = ScriptedCall("run_command", {"command": commands[conversation.turn]})
            return ScriptedTurn("", (call,))
        said = [result.text.replace("\n", " ")[:200] for result in conversation.task.results]
        return ScriptedTurn("Tried:\n\n" + "\n".join(f"- {one}" for one in said))

    return scenario


@pytest.mark.parametrize("how", ["click", "reply"])
async def test_a_question_outlives_the_bot_and_is_answered(
    deployment: Deployment, leftovers: None, how: str
) -> None:
    ben = deployment.person("ben")
    deployment.script(task := f"sort it, and take a {how}", asking)
    thread = await deployment.start_agent("demo/todo", task)
    asked = await deployment.wait_for_reply("❓ *In which order?*", thread, "dev")
    await deployment.wait_for_reply("Waiting for an answer", thread, "dev")
    [container] = deployment.bot.containers()
    await deployment.bot.end(signal.SIGKILL)
    await deployment.bot.start()
    assert deployment.bot.containers() == [container]
    if how == "click":
        assert (await ben.click("agent_answer_1", "dev", asked["ts"])).ok
        await deployment.wait_for_reply(
            "I was told: The person answered:\nnewest first", thread, "dev"
        )
        shown = "*newest first* — <@U00000BEN>"
    else:
        await ben.say("alphabetically, please", "dev", thread)
        await deployment.wait_for_reply("which follows. ['alphabetically, please", thread, "dev")
        shown = "*Answered by a message* — <@U00000BEN>"
    await deployment.wait_for_reply("✓ *Task 1*", thread, "dev")
    closed = await deployment.wait_for_reply(shown, thread, "dev")
    assert closed["ts"] == asked["ts"]
    assert "agent_answer" not in str(closed["blocks"])
    said = [m for m in ben.thread("dev", thread) if m["text"].startswith("❓")]
    assert len(said) == 1
    await deployment.stop_agent(thread)


async def test_a_command_that_is_not_on_the_list_needs_leave_for_exactly_itself(
    deployment: Deployment, leftovers: None
) -> None:
    ana, ben = deployment.person("ana"), deployment.person("ben")
    commands = (["id", "-u"], ["id", "-u"], ["id", "-u"], ["id", "-un"])
    deployment.script("find out who you are", trying(*commands))
    await ana.slash("/agent", "set approvals ask", "dev")
    await ana.wait_for_ephemeral("approv")
    await ana.slash("/agent", "set approve owner", "dev")
    await deployment.settled()
    thread = await deployment.start_agent("demo/todo", "find out who you are")

    async def asked(command: str, after: str) -> str:
        said = await deployment.wait_for_reply(f"```\n{command}\n```", thread, "dev", after=after)
        return str(said["ts"])

    # Who may not approve is refused in private, and nothing runs.
    first = await asked("id -u", "")
    await ben.click("agent_leave_once", "dev", first)
    refused = await ben.wait_for_ephemeral("may approve")
    assert "<@U00000ANA>" in refused.text
    assert len(deployment.playground.model.requests[-1].conversation.task.results) == 0

    # Once is once; then for this agent; and a changed command is asked about anew.
    await ana.click("agent_leave_once", "dev", first)
    second = await asked("id -u", first)
    assert "10002" in deployment.playground.model.requests[-1].conversation.task.results[0].text
    await ana.click("agent_leave_agent", "dev", second)
    third = await asked("id -un", second)
    results = deployment.playground.model.requests[-1].conversation.task.results
    assert ["10002" in result.text for result in results] == [True, True, True]
    await ana.click("agent_leave_refuse", "dev", third)
    await deployment.wait_for_reply("A person refused this command", thread, "dev")
    for ts, words in (
        (first, "*Approved once* — <@U00000ANA>"),
        (second, "*Approved for this agent* — <@U00000ANA>"),
        (third, "*Refused* — <@U00000ANA>"),
    ):
        assert (await deployment.wait_for_reply(words, thread, "dev"))["ts"] == ts
    noted = deployment.stored(
        "SELECT actor, outcome FROM audit WHERE action = 'agent.approve' AND outcome <> 'allowed'"
    )
    assert [(who, what.partition(":")[0]) for who, what in noted] == [
        ("U00000BEN", "refused"),
        ("U00000ANA", "approved once"),
        ("U00000ANA", "approved for the agent"),
        ("U00000ANA", "refused"),
    ]
    await deployment.stop_agent(thread)
