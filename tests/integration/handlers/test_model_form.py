"""The button that changes the model: who may, what it offers, and what cannot be any more."""

import asyncio

import pytest

from bot.agents.controls.model import GO_ON
from bot.domain.agent import Agent, AgentStatus
from bot.errors import ModelUnusable
from bot.slack.ephemeral import TOO_LATE
from bot.slack.handlers.results import OLD_WINDOW
from bot.slack.views.details import CHANGE_MODEL
from bot.slack.views.models import MODEL
from bot.slack.views.task_card import DETAILS
from playground.slack.user_client import UserClient
from tests.integration.handlers.conftest import Office
from tests.integration.handlers.test_results import button_posted, seen


async def window(office: Office, name: str = "ana") -> tuple[Agent, UserClient]:
    """An agent at work, and a person with its steps before them."""
    agent, root = await office.in_thread()
    await button_posted(office, agent, root, DETAILS)
    person = office.person(name)
    await person.click(DETAILS, "general")
    await person.wait_for_view("Change model")
    return agent, person


async def form(office: Office, name: str = "ana") -> tuple[Agent, UserClient]:
    agent, person = await window(office, name)
    await person.click_view(CHANGE_MODEL)
    await person.wait_for_view("external_select")
    return agent, person


async def model_of(office: Office, agent: Agent) -> str:
    stored = await office.harness.stored(agent.id)
    return stored.model


async def test_a_task_at_work_goes_on_with_the_model_that_is_chosen(office: Office) -> None:
    agent, ana = await form(office)
    offered = (await ana.suggest(MODEL, "mod"))["options"]
    assert [option["value"] for option in offered] == ["acme/model", "mod"]
    assert offered[0]["text"]["text"] == "acme/model · $3.00 / $15.00"
    assert (await ana.submit_view({MODEL: "acme/model"})).ok
    await ana.wait_for_view("Model: `acme/model` from the next step on")
    await office.harness.asked("chat")
    (request,) = office.harness.bridge.bodies("chat")
    assert (request.model, request.text) == ("acme/model", GO_ON)
    shown = await office.harness.shown(agent.id)
    said = [post.text for key, post in shown.items() if key.startswith("notice:model:")]
    (notice,) = said
    assert notice.startswith("Model: `acme/model` from the next step on.")
    assert notice.endswith("Chosen by <@U00000ANA>.")
    await ana.close_view()
    assert "acme/model" not in seen(ana)  # the window beneath is as it was


async def test_an_idle_agent_only_keeps_it_and_the_same_one_is_said(office: Office) -> None:
    agent, ana = await form(office)
    office.harness.bridge.finish(agent.id, "Done.")
    await office.harness.reaches(agent.id, AgentStatus.IDLE)
    await ana.submit_view({MODEL: agent.model})
    await ana.wait_for_view("is the model already")
    await ana.close_view()
    await ana.click_view(CHANGE_MODEL)
    await ana.wait_for_view("external_select")
    await ana.submit_view({MODEL: "acme/typed"})
    await ana.wait_for_view("Model: `acme/typed`")
    await office.settle()
    assert await model_of(office, agent) == "acme/typed"
    assert office.harness.bridge.bodies("chat") == []


async def test_a_model_that_cannot_be_used_changes_nothing(office: Office) -> None:
    agent, ana = await form(office)
    office.harness.gateway.model_error = ModelUnusable("The model provider knows no such model.")
    answer = (await ana.submit_view({MODEL: "acme/none"})).answer
    assert answer == {
        "response_action": "errors",
        "errors": {MODEL: "The model provider knows no such model."},
    }
    assert await model_of(office, agent) == agent.model


async def test_a_provider_that_is_slow_does_not_lose_the_form(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, ana = await form(office)

    async def hang(_model: str) -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as slow:
        slow.setattr("bot.slack.handlers.models._ANSWER_SECONDS", 0.01)
        slow.setattr(office.harness.gateway, "check_model", hang)
        assert "takes long" in str((await ana.submit_view({MODEL: "acme/model"})).answer)
    assert await model_of(office, agent) == agent.model
    await ana.submit_view({MODEL: "acme/model"})
    await ana.wait_for_view("Model: `acme/model`")


async def test_who_may_not_steer_is_told_at_every_step(office: Office) -> None:
    agent, ben = await window(office, "ben")
    ana = office.person("ana")
    await ben.click_view(CHANGE_MODEL)
    await ben.wait_for_view("external_select")
    await ana.slash("/agent", "set steer owner")
    await ana.wait_for_ephemeral("steer")
    assert (await ben.suggest(MODEL, "mod"))["options"] == []
    await ben.submit_view({MODEL: "acme/model"})
    await ben.wait_for_view("Only <@U00000ANA> and admins may steer this agent")
    assert await model_of(office, agent) == agent.model
    await ben.close_view()
    await ben.click_view(CHANGE_MODEL)
    await ben.wait_for_view("Only <@U00000ANA> and admins may steer this agent")


async def test_an_agent_that_has_ended_meanwhile_keeps_its_model(office: Office) -> None:
    agent, ana = await form(office)
    await ana.slash("/agent", f"stop {agent.id}")
    await office.harness.reaches(agent.id, AgentStatus.STOPPED)
    await ana.submit_view({MODEL: "acme/model"})
    await ana.wait_for_view("restart")
    assert await model_of(office, agent) == agent.model
    await ana.close_view()
    await ana.click_view(CHANGE_MODEL)
    await ana.wait_for_view("restart")
    assert len(ana.views()) == 1


async def test_a_click_that_is_too_late_or_of_an_old_window_says_so(office: Office) -> None:
    _, ana = await window(office)
    office.slack.faults.fail("views.push", "error", code="expired_trigger_id")
    await ana.click_view(CHANGE_MODEL)
    await ana.wait_for_view(TOO_LATE)
    await ana.close_view()
    await ana.click(DETAILS, "general")
    view = await ana.wait_for_view("Change model")
    for block in view.spec["blocks"]:
        for element in block.get("elements", []):
            if element.get("action_id") == CHANGE_MODEL:
                element["value"] = "of another kind"
    await ana.click_view(CHANGE_MODEL)
    await ana.wait_for_view(OLD_WINDOW)
