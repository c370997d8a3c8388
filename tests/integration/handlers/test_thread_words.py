"""What replies and clicks in a thread do beside talking to the agent, by real listeners."""

import pytest

from bot.domain.agent import Agent, AgentStatus
from bridge.protocol import ChatMode, QuestionAsked, QuestionKind
from tests.harness.audit import read_audit
from tests.integration.handlers.conftest import Office

QUESTION = "question:q1"


async def asks(office: Office, kind: QuestionKind = QuestionKind.QUESTION) -> tuple[Agent, str]:
    """An agent of @ana's that waits for an answer, and the ts of the question."""
    agent, _ = await office.in_thread()
    asked = QuestionAsked(
        task_id=agent.first_task_id,
        question_id="q1",
        call_id="c1",
        kind=kind,
        text="npm publish" if kind is QuestionKind.APPROVAL else "Which database?",
        options=("Postgres", "MySQL") if kind is QuestionKind.QUESTION else (),
        fingerprint="f00d",
    )
    office.harness.bridge.push(agent.id, asked)
    agent = await office.harness.reaches(agent.id, AgentStatus.IDLE)
    return agent, await post_in_slack(office, agent, QUESTION)


async def post_in_slack(office: Office, agent: Agent, key: str) -> str:
    """Put a stored post into the workspace as the sender would; its ts there."""
    post = (await office.harness.shown(agent.id))[key]
    answer = await office.client.chat_postMessage(
        channel=agent.channel,
        thread_ts=agent.thread_ts,
        text=post.text,
        blocks=post.payload["blocks"],
    )
    return str(answer["ts"])


async def test_words_that_interrupt_reach_the_bridge_as_such(office: Office) -> None:
    _, root = await office.in_thread()
    await office.person("ben").say("!use the other branch", thread_ts=root)
    await office.harness.asked("chat")
    [said] = office.harness.bridge.bodies("chat")
    assert (said.text, said.mode) == ("use the other branch", ChatMode.INTERRUPT)
    await office.settle()


async def test_an_exclamation_mark_alone_interrupts(office: Office) -> None:
    _, root = await office.in_thread()
    await office.person("ben").say("!", thread_ts=root)
    await office.harness.asked("interrupt")
    await office.settle()
    assert not office.harness.bridge.bodies("chat")


async def test_who_may_not_stop_may_not_interrupt_by_words(office: Office) -> None:
    agent, root = await office.in_thread()
    await set_rule(office, agent, "stop", "owner")
    ben = office.person("ben")
    await ben.say("!do this", thread_ts=root)
    await ben.wait_for_ephemeral("may stop this agent")
    await ben.say("do that", thread_ts=root)
    await office.harness.asked("chat")
    assert [body.text for body in office.harness.bridge.bodies("chat")] == ["do that"]


async def test_an_aside_has_no_effect_and_no_mark(office: Office) -> None:
    agent, root = await office.in_thread()
    before = await office.harness.shown(agent.id)
    await office.person("ben").say("aside: did you see this?", thread_ts=root)
    await office.person("ben").say("Aside:what a day", thread_ts=root)
    await office.settle()
    assert not office.harness.bridge.bodies("chat")
    assert await office.harness.shown(agent.id) == before


async def test_a_muted_thread_is_for_people_until_it_is_unmuted(office: Office) -> None:
    agent, root = await office.in_thread()
    ben = office.person("ben")
    await ben.say("mute", thread_ts=root)
    await office.settle()
    await ben.say("what do you think?", thread_ts=root)
    await office.settle()
    assert not office.harness.bridge.bodies("chat")
    await ben.say("but you, use pytest", thread_ts=root, mention=True)
    await office.harness.asked("chat", 1)
    await ben.say("queue: then lint", thread_ts=root)
    await office.harness.asked("chat", 2)
    await ben.say("Unmute", thread_ts=root)
    await office.settle()
    await ben.say("and you again", thread_ts=root)
    await office.harness.asked("chat", 3)
    said = [body.text for body in office.harness.bridge.bodies("chat")]
    assert said == ["but you, use pytest", "then lint", "and you again"]
    shown = await office.harness.shown(agent.id)
    notices = [post.text for key, post in shown.items() if key.startswith("notice:mute:")]
    assert len(notices) == 2
    assert "muted this thread" in notices[0]


async def test_a_muted_thread_still_stops(office: Office) -> None:
    agent, root = await office.in_thread()
    await office.person("ben").say("mute", thread_ts=root)
    await office.person("ben").say("stop", thread_ts=root)
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)


async def test_the_word_pause_pauses_and_a_reply_goes_on(office: Office) -> None:
    agent, root = await office.in_thread()
    ben = office.person("ben")
    await ben.say("pause", thread_ts=root)
    await office.harness.reaches(agent.id, AgentStatus.IDLE)
    await ben.wait_for_ephemeral("pauses before its next step")
    await ben.say("go on", thread_ts=root)
    await office.harness.asked("chat")


async def test_a_word_for_nothing_is_answered_privately(office: Office) -> None:
    agent, root = await office.in_thread()
    office.harness.bridge.finish(agent.id, "Done.")
    await office.harness.reaches(agent.id, AgentStatus.IDLE)
    await office.person("ben").say("pause", thread_ts=root)
    await office.person("ben").wait_for_ephemeral("No task is at work")


async def test_a_click_answers_and_a_second_one_is_told_so(office: Office) -> None:
    agent, ts = await asks(office)
    await office.person("ben").click("agent_answer_1", "general", ts)
    await office.harness.reaches(agent.id, AgentStatus.WORKING)
    assert office.harness.bridge.bodies("answer") == [("q1", "MySQL", "U00000BEN")]
    await office.person("ana").click("agent_answer_0", "general", ts)
    await office.person("ana").wait_for_ephemeral("answered already")
    assert len(office.harness.bridge.bodies("answer")) == 1


async def test_a_click_on_a_finished_task_is_told_so(office: Office) -> None:
    agent, ts = await asks(office)
    office.harness.bridge.finish(agent.id, "Done.")

    async def over() -> bool:
        return f"answer:{agent.first_task_id}:0" in await office.harness.shown(agent.id)

    await office.harness.changes.found(over)
    await office.person("ben").click("agent_answer_0", "general", ts)
    await office.person("ben").wait_for_ephemeral("not open any more")
    assert not office.harness.bridge.bodies("answer")


async def test_only_who_may_approve_approves(office: Office) -> None:
    agent, ts = await asks(office, QuestionKind.APPROVAL)
    ben = office.person("ben")
    await ben.click("agent_leave_once", "general", ts)
    await ben.wait_for_ephemeral("may approve commands of this agent")
    assert not office.harness.bridge.bodies("answer")
    await office.person("ana").click("agent_leave_once", "general", ts)
    await office.harness.reaches(agent.id, AgentStatus.WORKING)
    assert office.harness.bridge.bodies("answer") == [("q1", "approve_once", "U00000ANA")]
    record = await read_audit(office.harness.store)
    said = [(entry.actor, entry.outcome) for entry in record if entry.action == "agent.approve"]
    assert ("U00000ANA", "approved once") in said
    assert any(who == "U00000BEN" and what.startswith("refused") for who, what in said)


async def test_a_rule_lets_anyone_approve(office: Office) -> None:
    agent, ts = await asks(office, QuestionKind.APPROVAL)
    await set_rule(office, agent, "approve", "anyone")
    await office.person("ben").click("agent_leave_refuse", "general", ts)
    await office.harness.asked("answer")
    assert office.harness.bridge.bodies("answer") == [("q1", "refuse", "U00000BEN")]


@pytest.mark.parametrize("asked", [True, False])
async def test_the_channel_says_whether_people_are_asked(office: Office, *, asked: bool) -> None:
    if asked:
        await office.person("ana").slash("/agent", "set approvals ask")
        await office.person("ana").wait_for_ephemeral("waits until somebody approves it")
    await office.in_thread()
    [request] = office.harness.bridge.bodies("execute")
    assert request.approvals == ("ask" if asked else "refuse")
    assert ("approvals" in request.model_fields_set) is asked


async def test_pause_and_resume_by_buttons(office: Office) -> None:
    agent, _ = await office.in_thread()
    ts = await post_in_slack(office, agent, f"card:{agent.first_task_id}")
    await office.person("ben").click("agent_pause", "general", ts)
    agent = await office.harness.reaches(agent.id, AgentStatus.IDLE)
    ts = await post_in_slack(office, agent, f"card:{agent.first_task_id}")
    await office.person("ben").click("agent_resume", "general", ts)
    await office.harness.reaches(agent.id, AgentStatus.WORKING)
    await office.person("ben").click("agent_resume", "general", ts)
    await office.person("ben").wait_for_ephemeral("goes on already")


async def set_rule(office: Office, agent: Agent, name: str, value: str) -> None:
    async with office.harness.store.transaction() as tx:
        await tx.set_channel(agent.team, agent.channel, name, value)


@pytest.mark.parametrize("how", ["reaction", "shortcut"])
async def test_pausing_and_interrupting_by_pointing_at_any_message(
    office: Office, how: str
) -> None:
    agent, root = await office.in_thread()
    ben = office.person("ben")
    said = await ben.say("aside: hm", "general", root)

    async def point(reaction: str, shortcut: str) -> None:
        if how == "reaction":
            await ben.react("general", said, f"{reaction}::skin-tone-2")
        else:
            await ben.shortcut(shortcut, "general", said)

    await point("double_vertical_bar", "pause_agent")
    await ben.wait_for_ephemeral("pauses before its next step")
    await office.harness.reaches(agent.id, AgentStatus.IDLE)
    await ben.say("go on", "general", root)
    await office.harness.asked("chat")
    await point("black_square_for_stop", "interrupt_agent")
    await office.harness.asked("interrupt")
    await office.settle()
    stored = await office.harness.stored(agent.id)
    assert stored.alive


async def test_who_may_not_stop_may_not_interrupt_by_a_reaction(office: Office) -> None:
    agent, root = await office.in_thread()
    await office.person("ana").slash("/agent", "set stop owner")
    await office.person("ana").wait_for_ephemeral("Rules of this channel")
    ben = office.person("ben")
    await ben.react("general", root, "black_square_for_stop")
    await ben.wait_for_ephemeral("Only")
    assert "interrupt" not in office.harness.bridge.routes(agent.id)
