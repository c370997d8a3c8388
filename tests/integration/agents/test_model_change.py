import asyncio

import pytest

from bot.agents.controls.model import GO_ON
from bot.agents.service import ThreadMessage
from bot.domain.agent import AgentStatus, ThreadRef
from bot.errors import ModelUnusable
from bridge.protocol import ModelChanged, WireError
from tests.fakes import Shown
from tests.harness.app import AppHarness


async def test_a_task_at_work_goes_on_with_the_new_model(harness: AppHarness) -> None:
    agent = await harness.working()
    await harness.reply(agent, "5.1", "model: acme/other")
    await harness.asked("chat")
    request = harness.bridge.bodies("chat")[0]
    assert (request.model, request.text) == ("acme/other", GO_ON)
    assert "acme/other" in (await harness.shown(agent.id))["notice:model:5.1"].text


async def test_an_idle_agent_keeps_the_model_for_its_next_task(harness: AppHarness) -> None:
    agent = await harness.idle()
    await harness.reply(agent, "5.1", "--model acme/other")
    await harness.reply(agent, "5.1", "--model acme/other")  # Slack sends it twice
    await harness.reply(agent, "5.2", "add a test")
    await harness.asked("chat")
    (request,) = harness.bridge.bodies("chat")
    assert (request.model, request.text) == ("acme/other", "add a test")
    stored = await harness.reaches(agent.id, AgentStatus.WORKING)
    assert stored.model == "acme/other"


async def test_the_words_behind_the_model_are_the_message(harness: AppHarness) -> None:
    agent = await harness.idle()
    await harness.reply(agent, "5.1", "model: acme/other add a test")
    await harness.asked("chat")
    request = harness.bridge.bodies("chat")[0]
    assert (request.model, request.text) == ("acme/other", "add a test")


@pytest.mark.parametrize("text", ["model: acme/none", "model: <!channel>"])
async def test_a_model_that_cannot_be_used_is_said_and_changes_nothing(
    harness: AppHarness, text: str
) -> None:
    agent = await harness.idle()
    harness.gateway.model_error = ModelUnusable("The model provider knows no such model.")
    assert await harness.reply(agent, "5.1", text)
    shown = await harness.shown(agent.id)
    assert "model" in shown["trouble:model:5.1"].text
    assert "<!channel>" not in shown["trouble:model:5.1"].text
    stored = await harness.stored(agent.id)
    assert stored.model == agent.model
    assert harness.bridge.bodies("chat") == []


async def test_a_fallback_is_told_in_the_thread_and_the_agent_keeps_its_model(
    harness: AppHarness,
) -> None:
    agent = await harness.working()
    error = WireError(code="model_unavailable", message="Down. <!channel>")
    harness.bridge.push(
        agent.id, ModelChanged(at=1.0, model="second/one", previous=agent.model, error=error)
    )

    async def told() -> Shown | None:
        shown = await harness.shown(agent.id)
        return next((shown[key] for key in shown if key.startswith("notice:fallback")), None)

    notice = await harness.changes.found(told)
    assert "`second/one` goes on" in notice.text
    assert "<!channel>" not in notice.text
    stored = await harness.stored(agent.id)
    assert stored.model == agent.model


async def test_a_check_of_a_model_that_hangs_holds_up_no_other_thread(harness: AppHarness) -> None:
    agent, other = await harness.working(), await harness.working("trigger-2")
    harness.gateway.model_gate = asyncio.Event()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(harness.reply(agent, "5.1", "model: acme/other"))
        group.create_task(
            harness.service.model_control.choose_model(agent.id, "acme/third", "UBEN", "form")
        )
        await harness.changes.until(
            lambda: {"acme/other", "acme/third"} <= set(harness.gateway.checked)
        )
        assert await harness.reply(other, "6.1", "go on")
        await harness.asked("chat")
        assert [body.text for body in harness.bridge.bodies("chat")] == ["go on"]
        harness.gateway.model_gate.set()


async def test_replies_behind_a_check_that_hangs_keep_their_order(harness: AppHarness) -> None:
    agent, other = await harness.working(), await harness.working("trigger-2")
    harness.gateway.model_gate = asyncio.Event()
    checks = len(harness.gateway.checked)
    thread = ThreadRef("T1", "C1", agent.thread_ts or "")
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(harness.reply(agent, "5.1", "model: acme/other first"))
        await harness.changes.until(lambda: len(harness.gateway.checked) == checks + 1)
        for ts, text in (("5.2", "second"), ("5.3", "model: acme/third third")):
            group.create_task(harness.service.reply(ThreadMessage(thread, "UBEN", ts, text)))
        # Both checks run at once, so that a slow provider costs a thread one deadline.
        await harness.changes.until(lambda: len(harness.gateway.checked) == checks + 2)
        assert await harness.reply(other, "6.1", "elsewhere")
        await harness.asked("chat")
        assert not await harness.store.undelivered(agent.id)
        harness.gateway.model_gate.set()
    await harness.asked("chat", 4)
    texts = [body.text for body in harness.bridge.bodies("chat")]
    assert texts == ["elsewhere", "first", "second", "third"]
    stored = await harness.stored(agent.id)
    assert stored.model == "acme/third"
