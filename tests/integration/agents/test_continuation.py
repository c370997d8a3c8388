import asyncio

import pytest

from bot.agents.controls.continuation import GO_ON
from bot.domain.agent import AgentStatus
from bot.errors import UserError
from tests.harness.app import Stage


async def test_continue_starts_one_task_more_however_often_it_is_pressed(stage: Stage) -> None:
    agent = await stage.idle()
    presses = (
        stage.service.continuation.go_on(agent.id, agent.first_task_id, "UBEN") for _ in range(5)
    )
    await asyncio.gather(*presses)
    await stage.asked("chat")
    after = await stage.reaches(agent.id, AgentStatus.WORKING)
    requests = stage.bridge.bodies("chat")
    assert [(r.text, r.author, r.max_steps) for r in requests] == [(GO_ON, "UBEN", agent.max_steps)]
    assert after.task_id == requests[0].task_id
    shown = await stage.shown(agent.id)
    assert any("<@UBEN> lets it continue" in post.text for post in shown.values())
    assert not [key for key in shown if key.startswith("mark:pressed")]


async def test_each_task_can_be_continued(stage: Stage) -> None:
    agent = await stage.idle()
    await stage.service.continuation.go_on(agent.id, agent.first_task_id, "UBEN")
    working = await stage.reaches(agent.id, AgentStatus.WORKING)
    stage.bridge.finish(agent.id, "Not finished.")
    await stage.reaches(agent.id, AgentStatus.IDLE)
    await stage.service.continuation.go_on(agent.id, str(working.task_id), "UBEN")
    await stage.asked("chat", 2)
    first, second = stage.bridge.bodies("chat")
    assert first.task_id != second.task_id


@pytest.mark.parametrize("agent_id", ["nobody", ""])
async def test_an_agent_that_is_not_there_says_so(stage: Stage, agent_id: str) -> None:
    with pytest.raises(UserError):
        await stage.service.continuation.go_on(agent_id, "x" * 500, "UBEN")


async def test_an_agent_that_was_stopped_says_so(stage: Stage) -> None:
    agent = await stage.idle()
    await stage.service.stop(agent.id, "UANA")
    with pytest.raises(UserError):
        await stage.service.continuation.go_on(agent.id, agent.first_task_id, "UBEN")
