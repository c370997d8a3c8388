"""A question of the agent in its thread: shown, answered once, and what becomes of it else."""

import asyncio
from typing import Any

import pytest

from bot.domain.agent import Agent, AgentStatus
from bot.errors import UserError
from bridge.protocol import (
    ApprovalChoice,
    ErrorCode,
    Outcome,
    QuestionAnswered,
    QuestionAsked,
    QuestionKind,
    StepStarted,
    WireError,
)
from tests.fakes import Shown
from tests.harness.app import AppHarness
from tests.harness.audit import read_audit

Q, KEY = "q1", "question:q1"


async def asks(harness: AppHarness, *, approval: bool = False) -> Agent:
    """An agent whose first task waits for an answer."""
    agent = await harness.working()
    asked = QuestionAsked(
        at=harness.clock.now,
        task_id=agent.first_task_id,
        question_id=Q,
        call_id="c1",
        kind=QuestionKind.APPROVAL if approval else QuestionKind.QUESTION,
        text="npm publish" if approval else "Which database?",
        options=() if approval else ("Postgres", "MySQL"),
        step=3,
        fingerprint="f00d" if approval else "",
    )
    step = StepStarted(at=1.0, task_id=agent.first_task_id, step=3, max_steps=15)
    harness.bridge.push(agent.id, step, asked)
    return await harness.reaches(agent.id, AgentStatus.IDLE)


def buttons(post: Shown) -> list[str]:
    rows = [block for block in post.payload["blocks"] if block["type"] == "actions"]
    return [element["text"]["text"] for row in rows for element in row["elements"]]


def words(post: Shown) -> str:
    return str(post.payload["blocks"])


async def answer(
    harness: AppHarness, agent: Agent, choice: str, user: str = "UANA", **how: Any
) -> None:
    give = harness.service.questions.answer_question
    await give(agent.id, agent.first_task_id, Q, choice, user, **how)


async def test_a_question_is_a_message_with_its_options(harness: AppHarness) -> None:
    agent = await asks(harness)
    shown = await harness.shown(agent.id)
    assert buttons(shown[KEY]) == ["Postgres", "MySQL"]
    assert "Which database?" in shown[KEY].text
    card = shown[f"card:{agent.first_task_id}"]
    assert "Waiting for an answer" in card.text


async def test_a_click_answers_and_the_buttons_become_the_answer(harness: AppHarness) -> None:
    agent = await asks(harness)
    await answer(harness, agent, "1")
    await harness.reaches(agent.id, AgentStatus.WORKING)
    assert harness.bridge.bodies("answer") == [(Q, "MySQL", "UANA")]
    shown = await harness.shown(agent.id)
    assert buttons(shown[KEY]) == []
    assert "*MySQL* — <@UANA>, <!date^" in words(shown[KEY])
    assert not [key for key in shown if key.startswith("mark:")]


@pytest.mark.parametrize("restart", [True, False])
async def test_many_clicks_are_one_answer(harness: AppHarness, *, restart: bool) -> None:
    agent = await asks(harness)
    if restart:
        await harness.restart()
    clicks = [answer(harness, agent, str(number % 2), f"U{number}") for number in range(6)]
    done = await asyncio.gather(*clicks, return_exceptions=True)
    assert sum(one is None for one in done) == 1
    refused = [one for one in done if one is not None]
    assert all(isinstance(one, UserError) and "already" in one.user_text for one in refused)
    await harness.fleet.reconcile()
    await harness.reaches(agent.id, AgentStatus.WORKING)
    assert len(harness.bridge.bodies("answer")) == 1


async def test_an_answer_wakes_an_agent_that_sleeps(harness: AppHarness) -> None:
    agent = await asks(harness)
    harness.clock.now += harness.dependencies.settings.sleep_after_seconds + 1
    await harness.fleet.sleep_idle_agents()
    await harness.reaches(agent.id, AgentStatus.SLEEPING)
    await answer(harness, agent, "0")
    await harness.reaches(agent.id, AgentStatus.WORKING)
    shown = await harness.shown(agent.id)
    assert [key for key in shown if key.startswith("card:")] == [f"card:{agent.first_task_id}"]


async def test_an_answer_goes_before_a_queue_that_is_full(harness: AppHarness) -> None:
    agent = await asks(harness)
    full = WireError(code=ErrorCode.QUEUE_FULL, message="20 messages are waiting already.")
    harness.bridge.refusals["chat"] = full
    await harness.reply(agent, "5.1", "more")
    await harness.asked("chat", 2)
    await answer(harness, agent, "0")
    await harness.asked("answer")
    del harness.bridge.refusals["chat"]


async def test_an_answer_by_message_takes_the_buttons_away(harness: AppHarness) -> None:
    agent = await asks(harness)
    told = QuestionAnswered(
        at=harness.clock.now + 5,
        task_id=agent.first_task_id,
        question_id=Q,
        kind=QuestionKind.QUESTION,
        author="UBEN",
        message_id="5.1",
    )
    harness.bridge.push(agent.id, told)
    await harness.reaches(agent.id, AgentStatus.WORKING)
    shown = await harness.shown(agent.id)
    assert buttons(shown[KEY]) == []
    assert "Answered by a message* — <@UBEN>" in words(shown[KEY])
    with pytest.raises(UserError, match="already"):
        await answer(harness, agent, "0")


@pytest.mark.parametrize("how", ["interrupted", "stopped"])
async def test_a_question_of_a_task_that_is_over_takes_no_answer(
    harness: AppHarness, how: str
) -> None:
    agent = await asks(harness)
    if how == "stopped":
        await harness.service.stop(agent.id, "UANA")
    else:
        harness.bridge.finish(agent.id, outcome=Outcome.INTERRUPTED)

        async def finished() -> bool:
            shown = await harness.shown(agent.id)
            return f"answer:{agent.first_task_id}:0" in shown

        await harness.changes.found(finished)
    shown = await harness.shown(agent.id)
    assert buttons(shown[KEY]) == []
    assert "Not answered" in words(shown[KEY])
    with pytest.raises(UserError):
        await answer(harness, agent, "0")
    assert not harness.bridge.bodies("answer")


@pytest.mark.parametrize("choice", ["2", "-1", "", "x", "²", "approve_once"])
async def test_what_is_no_option_is_no_answer(harness: AppHarness, choice: str) -> None:
    agent = await asks(harness)
    with pytest.raises(UserError, match="no answer"):
        await answer(harness, agent, choice)
    shown = await harness.shown(agent.id)
    assert buttons(shown[KEY]) == ["Postgres", "MySQL"]


async def test_an_unknown_agent_or_question_is_a_sentence(harness: AppHarness) -> None:
    agent = await asks(harness)
    for agent_id, question_id in (("nobody", Q), (agent.id, "other")):
        with pytest.raises(UserError):
            await harness.service.questions.answer_question(
                agent_id, agent.first_task_id, question_id, "0", "UANA"
            )


async def test_a_container_that_never_asked_gets_the_answer_as_words(harness: AppHarness) -> None:
    agent = await asks(harness)
    # Its bridge answers as one that was made anew: it knows of no such question.
    harness.bridge.end_task(agent.id)
    await answer(harness, agent, "1")
    await harness.asked("chat")
    [said] = harness.bridge.bodies("chat")
    assert said.text == "You asked: Which database?\nMy answer: MySQL"
    assert said.author == "UANA"


@pytest.mark.parametrize(
    ("leave", "says"),
    [
        (ApprovalChoice.ONCE, "Approved once"),
        (ApprovalChoice.AGENT, "Approved for this agent"),
        (ApprovalChoice.REFUSE, "Refused"),
    ],
)
async def test_leave_is_recorded_with_the_exact_command(
    harness: AppHarness, leave: ApprovalChoice, says: str
) -> None:
    agent = await asks(harness, approval=True)
    shown = await harness.shown(agent.id)
    assert buttons(shown[KEY]) == ["Approve once", "Approve for this agent", "Refuse"]
    with pytest.raises(UserError):
        await answer(harness, agent, leave)
    await answer(harness, agent, leave, kind=QuestionKind.APPROVAL)
    await harness.asked("answer")
    assert harness.bridge.bodies("answer") == [(Q, leave.value, "UANA")]
    shown = await harness.shown(agent.id)
    assert says in words(shown[KEY])
    entry = (await read_audit(harness.store))[0]
    assert (entry.actor, entry.action) == ("UANA", "agent.approve")
    assert entry.subject == f"{agent.id} f00d npm publish"
