import asyncio

import pytest

from bot.agents.controls.press import GO_ON
from bot.domain.agent import AgentStatus
from bot.errors import UserError
from tests.harness.app import AppHarness


async def test_continue_starts_one_task_more_however_often_it_is_pressed(
    harness: AppHarness,
) -> None:
    agent = await harness.idle()
    presses = (
        harness.service.buttons.add_steps(agent.id, agent.first_task_id, "UBEN") for _ in range(5)
    )
    await asyncio.gather(*presses)
    await harness.asked("chat")
    after = await harness.reaches(agent.id, AgentStatus.WORKING)
    requests = harness.bridge.bodies("chat")
    assert [(r.text, r.author, r.max_steps) for r in requests] == [(GO_ON, "UBEN", agent.max_steps)]
    assert after.task_id == requests[0].task_id
    shown = await harness.shown(agent.id)
    assert any("<@UBEN> lets it continue" in post.text for post in shown.values())
    assert not [key for key in shown if key.startswith("mark:pressed")]


async def test_each_task_can_be_continued(harness: AppHarness) -> None:
    agent = await harness.idle()
    await harness.service.buttons.add_steps(agent.id, agent.first_task_id, "UBEN")
    working = await harness.reaches(agent.id, AgentStatus.WORKING)
    harness.bridge.finish(agent.id, "Not finished.")
    await harness.reaches(agent.id, AgentStatus.IDLE)
    await harness.service.buttons.add_steps(agent.id, str(working.task_id), "UBEN")
    await harness.asked("chat", 2)
    first, second = harness.bridge.bodies("chat")
    assert first.task_id != second.task_id


@pytest.mark.parametrize("agent_id", ["nobody", ""])
async def test_an_agent_that_is_not_there_says_so(harness: AppHarness, agent_id: str) -> None:
    with pytest.raises(UserError):
        await harness.service.buttons.add_steps(agent_id, "x" * 500, "UBEN")


async def test_an_agent_that_was_stopped_says_so(harness: AppHarness) -> None:
    agent = await harness.idle()
    await harness.service.stop(agent.id, "UANA")
    with pytest.raises(UserError):
        await harness.service.buttons.add_steps(agent.id, agent.first_task_id, "UBEN")
