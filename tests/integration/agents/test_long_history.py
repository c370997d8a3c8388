"""What is asked of an agent's history reads what it needs, however long the agent has worked.

The long part of the history cannot be read at all: whoever reads any of it fails.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import insert

from bot.agents.egress_notices import EgressNotices
from bot.agents.lifecycle.message_delivery import ControlDelivery
from bot.agents.lifecycle.run import AgentRun
from bot.agents.publishing import Publishing
from bot.domain.agent import Agent, AgentStatus
from bot.domain.container import BridgeAddress
from bot.domain.egress import Denial, DenialReason
from bot.domain.message import Message, MessageKind
from bot.errors import (
    ContainerGone,
    UserError,
)
from bot.store import tables
from bridge.protocol import (
    AgentEvent,
    ErrorCode,
    Evidence,
    FileChange,
    FilesChanged,
    Outcome,
    QuestionAsked,
    QuestionKind,
    TaskFinished,
    TaskStarted,
    ToolStarted,
    WireError,
)
from tests.harness.app import AppHarness

LENGTH = 5_000
TASK = "t1"
UNREADABLE = ("step_started", "tool_started", "tool_finished", "reasoning_written", "files_changed")


def told(seq: int) -> list[AgentEvent]:
    """The newest events of the task, numbered from `seq`."""
    return [
        TaskStarted(seq=seq, at=1.0, task_id=TASK, text="fix", model="m", max_steps=9),
        FilesChanged(
            seq=seq + 1,
            at=2.0,
            task_id=TASK,
            files=(FileChange(path="a.py", status="modified"),),
        ),
        *(
            ToolStarted(
                seq=seq + 2 + number,
                at=3.0,
                task_id=TASK,
                call_id=f"c{number}",
                tool="run_command",
                target=f"make {number}",
                arguments="{}",
            )
            for number in range(100)
        ),
        QuestionAsked(
            seq=seq + 102,
            at=4.0,
            task_id=TASK,
            question_id="q1",
            call_id="c100",
            kind=QuestionKind.QUESTION,
            text="Which?",
            options=("a", "b"),
            step=1,
        ),
    ]


END = TaskFinished(
    seq=LENGTH + 300,
    at=5.0,
    task_id=TASK,
    outcome=Outcome.FAILED,
    steps=1,
    duration_seconds=1.0,
    evidence=Evidence(changed=True),
)


@pytest.fixture
async def agent(harness: AppHarness) -> AsyncIterator[Agent]:
    """An agent whose task waits for an answer, and has a history of LENGTH events before that.

    None of that history is read by the test.
    """
    started = await harness.working()
    await harness.fleet.close()
    agent = replace(started, task_id=TASK, last_seq=LENGTH + 202, status=AgentStatus.IDLE)
    rows: list[dict[str, Any]] = [
        {
            "agent_id": agent.id,
            "seq": 100 + number,
            "task_id": TASK,
            "kind": UNREADABLE[number % len(UNREADABLE)],
            "body": "unreadable",
        }
        for number in range(LENGTH)
    ]
    async with harness.store.transaction() as tx:
        await tx.save_agent(agent)
        await tx._connection.execute(insert(tables.event).values(rows))
        await tx.add_events(agent.id, told(LENGTH + 100))
    yield agent
    assert harness.store.unreadable_events(agent.id) == 0
    await harness.store.events(agent.id)
    assert harness.store.unreadable_events(agent.id) == LENGTH


async def end(harness: AppHarness, agent: Agent) -> None:
    """End the agent's task."""
    async with harness.store.transaction() as tx:
        await tx.add_events(agent.id, [END])


async def test_whether_a_task_waits_goes_on_or_is_over(harness: AppHarness, agent: Agent) -> None:
    control = harness.service.buttons
    assert await control.waits_for_person(agent)
    await control.check_open(agent, TASK)
    with pytest.raises(UserError, match="goes on already"):
        await control.resume_task(agent.id, TASK, "UANA")
    with pytest.raises(UserError, match="Only the last one"):
        await control.undo_task(agent.id, TASK, "UANA")
    await end(harness, agent)
    assert not await control.waits_for_person(agent)
    with pytest.raises(UserError, match="has ended"):
        await control.check_open(agent, TASK)


async def test_an_answer_of_a_person(harness: AppHarness, agent: Agent) -> None:
    with pytest.raises(UserError, match="no answer"):
        await harness.service.questions.answer_question(agent.id, TASK, "q1", "7", "UANA")
    harness.bridge.refusals["answer"] = WireError(code=ErrorCode.NOT_FOUND, message="gone")
    address = BridgeAddress(f"http://{agent.id}.invalid", SecretStr("canary"))
    message = Message("answer:q1", agent.id, "UANA", "a", TASK, kind=MessageKind.ANSWER)
    await ControlDelivery(harness.dependencies).deliver(agent, address, message)
    [request] = harness.bridge.bodies("chat")
    assert "Which?" in request.text


async def test_a_refused_host_is_told_with_its_command(harness: AppHarness, agent: Agent) -> None:
    denials = EgressNotices(harness.store, harness.dependencies.presenter)
    refused = Denial("evil.example", 443, DenialReason.NOT_ON_LIST, 3.5)
    await denials._post(agent.id, [refused])
    shown = await harness.shown(agent.id)
    assert any("make 99" in post.text for post in shown.values())


async def test_how_an_agent_ended_and_what_it_proved(harness: AppHarness, agent: Agent) -> None:
    await harness.runtime.remove(agent.id)
    assert "a.py" in await harness.fleet._explain_end(agent.id, ContainerGone("gone"))
    run = AgentRun(harness.dependencies, agent)
    assert not await run._was_cut_short(6.0)
    await end(harness, agent)
    assert await run._was_cut_short(6.0)
    publishing = Publishing(
        harness.dependencies,
        harness.pulls,
        harness.writer.write,
        harness.service.results,
        harness.store.speakers,
    )
    assert (await publishing.evidence(agent)).changed
