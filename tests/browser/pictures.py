"""`make pictures`: takes the pictures of the page that docs/ shows, for a person to look at."""

import asyncio
import tempfile
from pathlib import Path

from playground.model.server import ModelSettings
from playground.server import PlaygroundSettings, running
from tests.browser.chrome import Page, chrome
from tests.e2e.conftest import ROOT, Bot, environment_of

PICTURES = ROOT / "docs" / "pictures"
WORK_SECONDS = 60.0
THREAD = "aside.thread"
# Slow enough that the card is seen at work, as in `make run`.
CHUNK_DELAY_SECONDS = 0.02


async def take(page: Page) -> None:
    """Walk through the first two demonstrations."""
    await page.sees("A thread becomes a coding agent")
    await page.colours("dark")
    await page.until("!document.getAnimations().length")
    await page.picture(PICTURES / "start-dark.png")
    await page.colours("light")
    await page.click("button[data-demo=fix]", "Start")
    await page.sees("all pass", THREAD, WORK_SECONDS)
    await page.click("nav button", "Start here")
    await page.click("button[data-demo=feature]", "Start")
    await page.sees("In which order should", THREAD, WORK_SECONDS)
    await page.sees("Task 1", THREAD, WORK_SECONDS)
    await page.size(390, 844, phone=True)
    await page.picture(PICTURES / "phone.png")
    await page.size(1360, 860)
    await page.click(f"{THREAD} textarea")
    await page.type("oldest")
    await page.press("Enter")
    await page.sees("the longest overdue first", THREAD, WORK_SECONDS)
    await page.sees("Task 2", THREAD, WORK_SECONDS)
    await page.picture(PICTURES / "thread.png")


async def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    settings = PlaygroundSettings(model=ModelSettings(chunk_delay_seconds=CHUNK_DELAY_SECONDS))
    with tempfile.TemporaryDirectory() as profile, tempfile.TemporaryDirectory() as data:
        async with running(settings) as playground:
            model = {"AGENT_MODEL": "scripted/scripted-model"}
            bot = Bot(environment_of(playground, Path(data)) | model, Path(data))
            await bot.start()
            try:
                with chrome(Path(profile)) as browser:
                    page = await browser.page()
                    await page.open(playground.page_url)
                    await take(page)
            finally:
                await bot.end()
                bot.clean_up()


if __name__ == "__main__":
    asyncio.run(main())
