"""A used budget, and the buttons that add to it."""

from dataclasses import replace
from decimal import Decimal

import pytest

from bot.agents.access.billing import Billing, BudgetUsed, CallRequest, CallResult
from bot.domain.agent import Agent, AgentStatus
from bot.domain.budget import MAX_BUDGET_NANO, NANO, Price
from bot.domain.usage import UsageTotals
from bot.errors import UserError
from bridge.protocol import Outcome
from tests.harness.app import COMMAND, ORIGIN, AppHarness


async def used(harness: AppHarness) -> Agent:
    """An idle agent whose budget of two dollars is used."""
    command = replace(COMMAND, budget_nano=2 * NANO)
    agent = await harness.service.start(command, replace(ORIGIN, claim="trigger-1"))
    assert agent
    await harness.reaches(agent.id, AgentStatus.WORKING)
    harness.bridge.finish(agent.id, outcome=Outcome.BUDGET_LIMIT)
    return await harness.reaches(agent.id, AgentStatus.IDLE)


async def test_a_press_adds_and_the_agent_goes_on_once(harness: AppHarness) -> None:
    agent = await used(harness)
    for _ in range(2):
        await harness.service.buttons.add_budget(agent.id, agent.first_task_id, 5, "UBEN")
    after = await harness.reaches(agent.id, AgentStatus.WORKING)
    assert after.budget_nano == 7 * NANO
    [request] = harness.bridge.bodies("chat")
    assert (request.text, request.author) == ("Go on where you stopped.", "UBEN")
    shown = await harness.shown(agent.id)
    assert any(
        "<@UBEN> adds $5. The budget is $7.00 now." in post.payload["text"]
        for post in shown.values()
        if "text" in post.payload
    )
    # A button is no message: there is nothing to put a mark on.
    assert not any(key.startswith("mark:") for key in shown)


async def test_the_other_button_of_the_same_notice_adds_as_well(harness: AppHarness) -> None:
    agent = await used(harness)
    for usd in (1, 5):
        await harness.service.buttons.add_budget(agent.id, agent.first_task_id, usd, "UBEN")
    stored = await harness.stored(agent.id)
    assert stored.budget_nano == 8 * NANO


async def test_what_cannot_be_added_to_is_said(harness: AppHarness) -> None:
    agent = await harness.idle()
    with pytest.raises(UserError, match="no budget of its own"):
        await harness.service.buttons.add_budget(agent.id, "t", 1, "UBEN")
    async with harness.store.transaction() as tx:
        await tx.save_agent(agent.with_budget(MAX_BUDGET_NANO))
    with pytest.raises(UserError, match="at the most"):
        await harness.service.buttons.add_budget(agent.id, "t", 1, "UBEN")
    with pytest.raises(UserError, match="no such agent"):
        await harness.service.buttons.add_budget("nobody", "t", 1, "UBEN")
    await harness.service.stop(agent.id, "UANA")
    with pytest.raises(UserError, match="stopped"):
        await harness.service.buttons.add_budget(agent.id, "t", 1, "UBEN")


async def test_more_budget_is_leave_for_the_next_call(harness: AppHarness) -> None:
    agent = await used(harness)
    accountant = Billing(
        harness.store,
        harness.dependencies.presenter,
        harness.dependencies.settings,
        clock=harness.clock,
    )
    wish = CallRequest("m", 10, 1_000, Price.per_million(Decimal(600)))
    leave = await accountant.begin(agent.id, wish)
    await accountant.settle(leave, CallResult(usage=UsageTotals(cost_nano=2 * NANO)))
    with pytest.raises(BudgetUsed):
        await accountant.begin(agent.id, wish)
    await harness.service.buttons.add_budget(agent.id, agent.first_task_id, 1, "UBEN")
    await accountant.begin(agent.id, wish)
    with pytest.raises(BudgetUsed):
        await accountant.begin(agent.id, wish)
