"""`make pictures`: takes the pictures of the page that docs/ shows, for a person to look at."""

import asyncio
import tempfile
from pathlib import Path

from playground.model.server import ModelSettings
from playground.server import PlaygroundSettings, running
from tests.browser.chrome import Page, chrome
from tests.e2e.conftest import ROOT, deployed

PICTURES = ROOT / "docs" / "pictures"
WORK_SECONDS = 60.0
THREAD = "aside.thread"
# For the pictures that stand between words: high enough for the whole thread.
BESIDE_WORDS = (1360, 640)
# Slow enough that the card is seen at work, as in `make run`.
CHUNK_DELAY_SECONDS = 0.05


async def take(page: Page) -> None:
    """Walk through the first two demonstrations, to the end of the second one's agent."""
    await page.sees("A thread becomes a coding agent")
    await page.colours("dark")
    await page.until("!document.getAnimations().length")
    await page.picture(PICTURES / "start-dark.png")
    await page.colours("light")
    await page.click("button[data-demo=fix]", "Start")
    await page.size(*BESIDE_WORDS)
    await page.sees("run_command", THREAD, WORK_SECONDS)
    await page.picture(PICTURES / "card.png", THREAD)
    await page.sees("all pass", THREAD, WORK_SECONDS)
    await page.sees("Task 1", THREAD, WORK_SECONDS)
    await page.picture(PICTURES / "answer.png", THREAD)
    await page.click(f"{THREAD} button", "Show diff")
    await page.sees("todo/items.py", "dialog", WORK_SECONDS)
    await page.click("dialog button", "Read")
    await page.sees("item.due < today", "dialog", WORK_SECONDS)
    await page.picture(PICTURES / "diff.png", "dialog")
    await page.click("dialog button", "Close")
    await page.size(1360, 860)
    await page.click("nav button", "Start here")
    await page.click("button[data-demo=feature]", "Start")
    await page.sees("In which order should", THREAD, WORK_SECONDS)
    await page.size(*BESIDE_WORDS)
    await page.picture(PICTURES / "question.png", THREAD)
    await page.size(390, 844, phone=True)
    await page.picture(PICTURES / "phone.png")
    await page.size(1360, 860)
    await say(page, "oldest")
    await page.sees("the longest overdue first", THREAD, WORK_SECONDS)
    await page.sees("Task 1", THREAD, WORK_SECONDS)
    await page.picture(PICTURES / "thread.png")
    await page.size(1360, 900)
    await say(page, "stop")
    await page.sees("Stopped by", THREAD, WORK_SECONDS)
    await page.sees("Changes of", THREAD, WORK_SECONDS)
    await page.picture(PICTURES / "stop.png", THREAD)


async def say(page: Page, words: str) -> None:
    """Reply in the open thread."""
    await page.click(f"{THREAD} textarea")
    await page.type(words)
    await page.press("Enter")


async def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    settings = PlaygroundSettings(model=ModelSettings(chunk_delay_seconds=CHUNK_DELAY_SECONDS))
    with tempfile.TemporaryDirectory() as profile, tempfile.TemporaryDirectory() as data:
        async with running(settings) as playground:
            model = {"AGENT_MODEL": "scripted/scripted-model"}
            async with deployed(playground, Path(data), model):
                with chrome(Path(profile)) as browser:
                    page = await browser.page()
                    await page.open(playground.page_url)
                    await take(page)


if __name__ == "__main__":
    asyncio.run(main())
