"""The three demonstrations, from the first click to the branch on the git host."""

import pytest

from tests.browser.chrome import Page
from tests.e2e.conftest import Deployment

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]

WORK_SECONDS = 60.0
THREAD = "aside.thread"
HOME = ".home"


async def start(page: Page, demo: str) -> None:
    """Click a demonstration's button; its thread opens by itself."""
    await page.sees("A thread becomes a coding agent")
    await page.click(f"button[data-demo={demo}]", "Start")
    await page.has(THREAD)


async def open_branch(page: Page) -> None:
    """Open the newest branch of an agent on the git host, as the page shows it."""
    await page.click("nav button", "demo/todo")
    await page.click("button.branch", "agent/")
    await page.has(".repository .diff")


async def stop(page: Page, deployment: Deployment) -> None:
    """End the agent of the open thread by a word, so that the next test starts with none."""
    await page.click(f"{THREAD} textarea")
    await page.type("stop")
    await page.press("Enter")
    await page.sees("Stopped by", THREAD, WORK_SECONDS)
    await deployment.no_containers()


async def test_a_failing_test_is_fixed_and_its_branch_can_be_read(
    page: Page, deployment: Deployment
) -> None:
    await start(page, "fix")
    await page.sees("fix the failing test", THREAD)
    await page.sees("all pass", THREAD, WORK_SECONDS)
    await page.sees("Task 1", THREAD)
    assert len(deployment.bot.containers()) == 1
    await page.click(f"{THREAD} button", "Open pull request")
    await page.sees("Pull request #1", THREAD, WORK_SECONDS)
    await stop(page, deployment)
    await open_branch(page)
    await page.sees("Pull request #1: Fix the failing test", ".repository h2")
    await page.sees("What the diff shows", ".repository")
    await page.sees("1 commit more than main", ".repository")
    await page.sees("item.due < today", ".repository .diff")


async def test_a_feature_is_built_as_the_question_was_answered(
    page: Page, deployment: Deployment
) -> None:
    await start(page, "feature")
    await page.sees("In which order should", THREAD, WORK_SECONDS)
    await page.click(f"{THREAD} button", "oldest")
    await page.sees("the longest overdue first", THREAD, WORK_SECONDS)
    await page.sees("Task 1", THREAD, WORK_SECONDS)
    await stop(page, deployment)
    await open_branch(page)
    await page.sees("def overdue_lines", ".repository .diff")


async def test_a_budget_ends_the_task_and_a_press_adds_to_it(
    page: Page, deployment: Deployment
) -> None:
    await start(page, "limit")
    await page.sees("Budget used", THREAD, WORK_SECONDS)
    await page.click(f"{THREAD} button", "+$1")
    await page.sees("of $1.05", THREAD, WORK_SECONDS)
    await stop(page, deployment)


async def test_the_home_of_the_bot_shows_an_agent_stops_it_and_keeps_ones_defaults(
    page: Page, deployment: Deployment
) -> None:
    await page.click("nav button", "Threadsmith")
    await page.click("button[role=tab]", "Home")
    await page.sees("You have no agent that runs.", HOME)
    await deployment.person().slash("/agent", "demo/todo a long task, seen from home")
    thread = (await deployment.wait_for_root("seen from home"))["ts"]
    await deployment.wait_for_reply("▶ *Working*", thread)
    await page.sees("1 agent of yours runs", HOME, WORK_SECONDS)
    await page.sees("a long task, seen from home", HOME)

    # One's own defaults, by the form; the next task needs no repository.
    await page.click(f"{HOME} button", "Change")
    await page.sees("Your defaults", "dialog[open]")
    await page.click("dialog input[type=text]")
    await page.type("no repository")
    await page.click("dialog button", "Save")
    await page.sees("owner/name", "dialog .field-error")
    await page.press("Backspace", times=20)
    await page.type("demo/todo")
    await page.click("dialog button", "Save")
    await page.lacks("dialog[open]")
    await page.sees("demo/todo", HOME)

    await page.click(f"{HOME} button", "Stop")
    await deployment.wait_for_reply("Stopped by <@U00000ANA>", thread)
    await page.sees("You have no agent that runs.", HOME, WORK_SECONDS)
    await page.sees("Ended", HOME)
    await deployment.no_containers()
    await deployment.person().slash("/agent", "me repo none")
