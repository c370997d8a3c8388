"""Models and steps on real parts: the list, the step limit, Continue, a change in the thread."""

import pytest

from tests.e2e.conftest import Deployment

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]


async def test_a_task_out_of_steps_continues_by_a_button_and_then_with_another_model(
    deployment: Deployment, leftovers: None
) -> None:
    ana = deployment.person("ana")
    await ana.slash("/agent", "models claude")
    listed = await ana.wait_for_ephemeral("price of a million tokens")
    assert "`anthropic/claude-3.5-sonnet` · $3.00 / $15.00 · 200,000 tokens" in listed.text

    assert (await ana.slash("/agent", "demo/todo --steps 3 fix the failing test, slowly")).ok
    thread = (await deployment.wait_for_root("fix the failing test, slowly"))["ts"]
    limit = await deployment.wait_for_reply("Step limit reached", thread)
    buttons = [
        element["action_id"]
        for block in limit["blocks"]
        if block["type"] == "actions"
        for element in block["elements"]
    ]
    assert "agent_continue" in buttons
    await ana.click("agent_continue", "general", limit["ts"])
    await deployment.wait_for_reply("lets it continue", thread)
    await deployment.wait_for_reply("This is task 2", thread)
    await ana.click("agent_continue", "general", limit["ts"])  # once more changes nothing

    before = len(deployment.playground.model.requests)
    await ana.say("model: openai/gpt-4o what did you do?", "general", thread)
    await deployment.wait_for_reply("Model: `openai/gpt-4o`", thread)
    await deployment.wait_for_reply("This is task 3", thread)
    asked = [request.body["model"] for request in deployment.playground.model.requests[before:]]
    assert set(asked) == {"openai/gpt-4o"}

    await ana.say("model: nobody/knows-it", "general", thread)
    await deployment.wait_for_reply("knows no model `nobody/knows-it`", thread)

    # The same by a button: the window with the steps, a form, the provider's list.
    await ana.click("agent_details", "general")
    await ana.wait_for_view("Change model")
    await ana.click_view("agent_change_model")
    await ana.wait_for_view("openai/gpt-4o")
    offered = (await ana.suggest("model_choice", "claude-3.5"))["options"]
    assert offered[0]["value"] == "anthropic/claude-3.5-sonnet"
    assert (await ana.submit_view({"model_choice": "anthropic/claude-3.5-sonnet"})).ok
    await deployment.wait_for_reply("Model: `anthropic/claude-3.5-sonnet`", thread)
    before = len(deployment.playground.model.requests)
    await ana.say("and what did you do now?", "general", thread)
    await deployment.wait_for_reply("This is task 4", thread)
    asked = [request.body["model"] for request in deployment.playground.model.requests[before:]]
    assert set(asked) == {"anthropic/claude-3.5-sonnet"}

    await ana.say("stop", "general", thread)
    await deployment.no_containers()
