"""What an app sends, as the page shows it; nothing that is sent becomes part of the page."""

import pytest

from tests.browser.chrome import Page
from tests.browser.samples import (
    HOSTILE,
    HOSTILE_LINKS,
    MARKDOWN,
    MESSAGE_BLOCKS,
    SEEN,
    SEEN_IN_MARKDOWN,
    Json,
    mrkdwn,
    rich,
    words,
)
from tests.browser.workspace import Workspace

GENERAL = "C0GENERAL0"
TALK = ".talk"


@pytest.fixture
async def page(view: Page) -> Page:
    """The channel, opened."""
    await view.click("nav button", "general")
    await view.has(f"{TALK} textarea")
    return view


async def test_every_kind_of_block_is_shown(page: Page, workspace: Workspace) -> None:
    await workspace.client.chat_postMessage(channel=GENERAL, text="b", blocks=MESSAGE_BLOCKS)
    await workspace.client.chat_postMessage(channel=GENERAL, markdown_text=MARKDOWN)
    for where, text in (SEEN | SEEN_IN_MARKDOWN).items():
        await page.sees(text, f"{TALK} {where}")
    assert await page.run("document.querySelectorAll('.talk hr').length") == 1
    assert "is not shown here" not in await page.text(TALK)


async def test_hostile_words_stay_words(page: Page, workspace: Workspace) -> None:
    hostile = f"{HOSTILE} {HOSTILE_LINKS}"
    blocks: list[Json] = [
        {"type": "section", "text": mrkdwn(hostile)},
        {"type": "markdown", "text": hostile},
        rich({"type": "rich_text_section", "elements": [words(hostile)]}),
    ]
    await workspace.client.chat_postMessage(channel=GENERAL, text=hostile, blocks=blocks)
    await workspace.playground.person("ben").upload(f"{HOSTILE}.txt", HOSTILE.encode(), hostile)
    await page.sees("onerror", f"{TALK} .file")
    assert await page.run("window.taken") is None
    assert await page.run("document.querySelectorAll('.talk script').length") == 0
    assert await page.run("document.querySelectorAll('.talk img[src=x]').length") == 0
    assert await page.run("document.querySelectorAll(\"a[href^='javascript']\").length") == 0


async def test_edits_deletions_and_reactions_are_seen_as_they_happen(
    page: Page, workspace: Workspace
) -> None:
    ben = workspace.playground.person("ben")
    ts = await ben.say("the first words")
    await page.sees("the first words", TALK)
    await ben.edit("general", ts, "better words")
    await page.sees("better words", TALK)
    await page.sees("(edited)", TALK)
    await ben.react("general", ts, "tada")
    await page.has(f"{TALK} button.reaction[aria-label*='tada, 1 person: ben']")
    await page.click(f"{TALK} button.reaction", "tada")
    await page.has(f"{TALK} button.reaction[aria-pressed=true]")
    assert ben.channel_messages("general")[-1]["reactions"][0]["count"] == 2
    await ben.delete("general", ts)
    await page.sees("This message was deleted.", TALK)
    assert "better words" not in await page.text(TALK)


async def test_a_file_is_shown_and_can_be_saved(page: Page, workspace: Workspace) -> None:
    patch = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-old = 1\n+new = 2\n"
    await workspace.client.files_upload_v2(channel=GENERAL, content=patch, filename="x.patch")
    await page.sees("new = 2", f"{TALK} .file .row.add")
    await page.sees("old = 1", f"{TALK} .file .row.del")
    saved = "fetch(document.querySelector('.file a[download=\"x.patch\"]').href)"
    assert await page.run(f"{saved}.then(answer => answer.text())") == patch
    kept = f"{saved}.then(answer => answer.headers.get('content-disposition'))"
    assert "attachment" in await page.run(kept)


async def test_a_command_without_an_app_is_kept_and_the_page_says_why(page: Page) -> None:
    await page.sees("The bot is not connected", ".banner")
    await page.click(f"{TALK} textarea")
    await page.type("/agent demo/todo do it")
    await page.press("Enter")
    await page.sees("The bot is not connected", ".toast")
    value = "document.querySelector('.talk textarea').value"
    assert await page.run(value) == "/agent demo/todo do it"


async def test_a_long_message_is_folded_and_unfolds(page: Page, workspace: Workspace) -> None:
    rows = "\n".join(f"row {number}" for number in range(1500))
    await workspace.client.chat_postMessage(channel=GENERAL, text=rows)
    await page.click(f"{TALK} button", "Show more")
    await page.has(f"{TALK} button[aria-expanded=true]")
    height = "document.querySelector('.content.long').clientHeight"
    assert await page.run(height) > 10_000


async def test_news_do_not_exchange_the_branches_under_a_click(
    page: Page, workspace: Workspace
) -> None:
    await page.click("nav button", "demo/todo")
    await page.has("button.branch")
    await page.run("document.querySelector('button.branch').isTheFirst = true")
    read = "performance.getEntriesByType('resource').filter(e => e.name.includes('/git/')).length"
    for number in (2, 3):  # the second reading begins when the first has been dealt with
        await workspace.client.chat_postMessage(channel=GENERAL, text="pushed nothing")
        await page.until(f"{read} >= {number}")
    assert await page.run("document.querySelector('button.branch').isTheFirst")
