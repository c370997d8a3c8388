"""The page in the hands of people: reload, a second window, the keyboard, a phone."""

import pytest

from tests.browser.chrome import Browser, Page
from tests.e2e.conftest import Deployment

pytestmark = [
    pytest.mark.docker,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(120),
]

WORK_SECONDS = 60.0
THREAD = "aside.thread"
COMMAND_FIELD = "textarea[aria-label*='agent owner/repo']"


async def command(page: Page, words: str) -> None:
    """Type a command into #general."""
    await page.click("nav button", "general")
    await page.click(COMMAND_FIELD)
    await page.type(words)
    await page.press("Enter")


async def test_a_reload_and_a_second_window_show_the_same_task_at_work(
    page: Page, deployment: Deployment, browser: Browser
) -> None:
    await command(page, "/agent demo/todo a long task")
    await page.sees("a long task", ".talk", WORK_SECONDS)
    await page.click(".talk button", "repl")
    await page.sees("Working", THREAD, WORK_SECONDS)
    await page.reload()
    await page.sees("Working", THREAD, WORK_SECONDS)
    other = await browser.page()
    await other.open(await page.run("location.href"))
    await other.sees("Working", THREAD, WORK_SECONDS)

    # A stop in one window is seen in both, and the container is gone.
    await page.click(f"{THREAD} button", "Stop")
    await page.sees("Stopped by", THREAD, WORK_SECONDS)
    await other.sees("Stopped by", THREAD)
    await other.close()
    await deployment.no_containers()


async def test_an_agent_is_started_and_stopped_by_keys_alone(
    page: Page, deployment: Deployment
) -> None:
    await page.sees("A thread becomes a coding agent")
    for _ in range(40):
        await page.press("Tab")
        if await page.focused() == "general":
            break
    await page.press("Enter")
    await page.has(COMMAND_FIELD)
    await page.until("document.activeElement.tagName === 'TEXTAREA'")
    await page.type("/agent demo/todo a long task with keys")
    await page.press("Enter")
    await page.sees("a long task with keys", ".talk .message", WORK_SECONDS)
    await page.press("Tab", shift=True)
    await page.press("End")
    await page.until("document.activeElement.innerText.includes('a long task with keys')")
    for _ in range(20):
        await page.press("Tab")
        if await page.focused() == "React with octagonal_sign":
            break
    await page.press("Enter")
    await page.has("button.reaction[aria-label*='octagonal_sign']")
    await page.click(".talk button", "repl")
    await page.sees("Stopped by", THREAD, WORK_SECONDS)
    await deployment.no_containers()


async def test_the_form_and_the_shortcut_of_a_message_do_what_the_command_and_the_word_do(
    page: Page, deployment: Deployment
) -> None:
    await command(page, "/agent")
    await page.has("dialog[open]")
    await page.type("demo/todo")
    await page.until("!!document.querySelector('dialog datalist option')")  # the search answered
    await page.press("Tab", times=3)
    await page.type("a long task from a form")
    await page.click("dialog button", "Start")
    await page.lacks("dialog[open]")
    await page.sees("a long task from a form", ".talk .message", WORK_SECONDS)
    await page.click(".talk .message:last-of-type button", "repl")
    await page.sees("Working", THREAD, WORK_SECONDS)
    await page.hover(f"{THREAD} .message")
    await page.click(f"{THREAD} .message button[aria-label=More]")
    await page.click("[role=menuitem]", "Stop agent")
    await page.sees("Stopped by", THREAD, WORK_SECONDS)
    await deployment.no_containers()


async def test_a_reply_steers_the_task_at_work(page: Page, deployment: Deployment) -> None:
    await command(page, "/agent demo/todo a long task to steer")
    await page.sees("a long task to steer", ".talk .message", WORK_SECONDS)
    await page.click(".talk .message:last-of-type button", "repl")
    await page.sees("Working", THREAD, WORK_SECONDS)
    await page.click(f"{THREAD} textarea")
    await page.type("and look at the tests, too")
    await page.press("Enter")
    await page.has(f"{THREAD} button.reaction[aria-label*=eyes]", WORK_SECONDS)
    await page.click(f"{THREAD} button", "Stop")
    await page.sees("Stopped by", THREAD, WORK_SECONDS)
    await deployment.no_containers()


async def test_escape_closes_the_form_and_starts_nothing(
    page: Page, deployment: Deployment
) -> None:
    await command(page, "/agent")
    await page.has("dialog[open]")
    await page.press("Escape")
    await page.lacks("dialog[open]")
    assert deployment.bot.containers() == []


async def test_help_is_private(page: Page, deployment: Deployment, browser: Browser) -> None:
    await command(page, "/agent help")
    await page.sees("Start an agent", ".talk")
    other = await browser.page()
    await other.open(f"{deployment.playground.page_url}#/ben")
    await other.click("nav button", "general")
    await other.has(COMMAND_FIELD)
    assert "Start an agent" not in await other.text(".talk")
    await other.close()


async def test_the_page_says_that_the_bot_is_away_and_notices_its_return(
    page: Page, deployment: Deployment
) -> None:
    await page.sees("A thread becomes a coding agent")
    await deployment.bot.end()
    await page.sees("The bot is not connected", ".banner")
    await deployment.bot.start()
    await page.lacks(".banner")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone_shows_everything_in_its_width(page: Page, scheme: str) -> None:
    await page.colours(scheme)
    await page.size(390, 844, phone=True)
    await page.sees("A thread becomes a coding agent")
    assert await page.run("document.documentElement.scrollWidth") <= 390
    await page.click("button[aria-label=Channels]")
    await page.click("nav button", "general")
    await page.has(COMMAND_FIELD)
    assert await page.run("document.documentElement.scrollWidth") <= 390
