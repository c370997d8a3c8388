"""What people do with an app: forms, buttons, its home, private answers, and who is called."""

from typing import Any

import pytest

from playground.slack.fault_plan import FaultKind
from tests.browser.chrome import Browser, Page
from tests.browser.samples import MESSAGE_BLOCKS, MODAL, button, mrkdwn
from tests.browser.workspace import Workspace
from tests.integration.playground.bolt import refused

GENERAL = "C0GENERAL0"
TALK = ".talk"
FIELD = f"{TALK} textarea"
HOME = {
    "type": "home",
    "blocks": [
        {"type": "section", "text": mrkdwn("*Your agents*")},
        {"type": "actions", "elements": [button("Refresh", "refresh")]},
    ],
}


@pytest.fixture
async def app(workspace: Workspace) -> Workspace:
    """The app, listening: `/agent` opens a form, `/agent whisper` answers aside."""
    bolt = workspace.bolt

    @bolt.app.command("/agent")
    async def command(ack: Any, command: dict[str, Any], client: Any, respond: Any) -> None:
        await ack()
        if command["text"] == "whisper":
            await respond("only for your ears")
        else:
            await client.views_open(trigger_id=command["trigger_id"], view=MODAL)

    @bolt.app.view("form")
    async def submitted(ack: Any, view: dict[str, Any]) -> None:
        values = view["state"]["values"]
        if values["Words"]["words"]["value"] == "wrong":
            await ack(response_action="errors", errors={"Words": "Not this word."})
        else:
            await ack()
            await bolt.heard.put(values)

    @bolt.app.event("app_home_opened")
    async def opened(event: dict[str, Any], client: Any) -> None:
        if event["tab"] == "home":
            await client.views_publish(user_id=event["user"], view=HOME)

    @bolt.app.action("refresh")
    @bolt.app.action("go")
    @bolt.app.action("stop")
    @bolt.app.action("menu")
    async def clicked(ack: Any, action: dict[str, Any]) -> None:
        await ack()
        await bolt.heard.put(action)

    @bolt.app.shortcut("stop_agent")
    async def shortcut(ack: Any, shortcut: dict[str, Any]) -> None:
        await ack()
        await bolt.heard.put(shortcut)

    await bolt.connect()
    return workspace


@pytest.fixture
async def page(app: Workspace, view: Page) -> Page:
    """The channel, opened, with the app there."""
    await view.click("nav button", "general")
    await view.lacks(".banner")
    await view.click(FIELD)
    return view


async def send(page: Page, text: str) -> None:
    await page.click(FIELD)
    await page.type(text)
    await page.press("Enter")


async def test_a_form_takes_every_kind_of_field_and_shows_what_is_wrong(
    page: Page, app: Workspace
) -> None:
    await send(page, "/agent")
    await page.sees("Every field", "dialog[open]")
    await page.click("dialog button", "Send")
    await page.sees("Please complete this required field.", "dialog[open]")
    assert await page.run("document.querySelectorAll('dialog .field-error').length") == 6
    await page.click("dialog input[type=text]")
    await page.type("wrong")
    await page.click("dialog input[type=number]")
    await page.type("12")
    for box in ("A", "B", "Y"):
        await page.click("dialog label.box", box)
    for name, value in (("one", "red"), ("whom", "U00000BEN")):
        await page.run(
            f"(() => {{ const n = document.querySelector('dialog select[data-key={name}]');"
            f" n.value = '{value}'; n.dispatchEvent(new Event('change')); }})()"
        )
    await page.click("dialog button", "Send")
    await page.sees("Not this word.", "dialog .field-error")
    await page.press("End")
    await page.press("Backspace", times=5)
    await page.type("right")
    await page.press("Enter")
    await page.lacks("dialog[open]")
    heard = await app.bolt.next()
    assert heard["Words"]["words"]["value"] == "right"
    assert heard["Number"]["number"]["value"] == "12"
    assert heard["One of"]["one"]["selected_option"]["value"] == "red"
    assert [o["value"] for o in heard["Some"]["some"]["selected_options"]] == ["a", "b"]
    assert heard["Either"]["either"]["selected_option"]["value"] == "y"
    assert heard["Whom"]["whom"]["selected_user"] == "U00000BEN"
    assert heard["When"]["when"]["selected_date"] == "2030-01-02"


async def test_buttons_and_menus_reach_the_app_and_a_question_comes_first(
    page: Page, app: Workspace
) -> None:
    await app.client.chat_postMessage(channel=GENERAL, text="b", blocks=MESSAGE_BLOCKS)
    await page.click(f"{TALK} button", "Go on")
    assert (await app.bolt.next())["action_id"] == "go"
    await page.click(f"{TALK} .actions button", "Stop")
    await page.sees("It is gone then.", "dialog[open]")
    await page.click("dialog button", "Keep it")
    await page.lacks("dialog[open]")
    await page.click(f"{TALK} .actions button", "Stop")
    await page.click("dialog button", "Stop it")
    assert (await app.bolt.next())["action_id"] == "stop"  # the one that was kept never came


async def test_the_home_of_the_app_is_shown_and_its_buttons_work(
    page: Page, app: Workspace
) -> None:
    await page.click("nav button", "Threadsmith")
    await page.click("button[role=tab]", "Home")
    await page.sees("Your agents", ".home")
    await page.click(".home button", "Refresh")
    assert (await app.bolt.next())["action_id"] == "refresh"


async def test_a_private_answer_is_seen_by_one_and_can_be_dismissed(
    page: Page, app: Workspace, browser: Browser
) -> None:
    await send(page, "/agent whisper")
    await page.sees("only for your ears", TALK)
    await page.sees("Only visible to you", TALK)
    other = await browser.page()
    await other.open(f"{app.playground.page_url}#/ben/{GENERAL}")
    await other.has(FIELD)
    await app.playground.person("ana").say("said to all")
    await other.sees("said to all", TALK)
    assert "only for your ears" not in await other.text(TALK)
    await other.close()
    await send(page, "/agent whisper")
    await page.until("document.querySelectorAll('.talk .message.private').length === 2")
    assert await page.run("document.querySelector('.messages-inner > :first-child').className") == (
        "day"  # one line for the day, above all of its messages
    )
    await page.hover(f"{TALK} .message.private")
    await page.click(f"{TALK} button[aria-label=Dismiss]")
    await page.until("document.querySelectorAll('.talk .message.private').length === 1")


async def test_a_message_shortcut_is_in_the_menu_of_a_message(page: Page, app: Workspace) -> None:
    await app.client.chat_postMessage(channel=GENERAL, text="something to stop")
    await page.sees("something to stop", TALK)
    await page.hover(f"{TALK} .message")
    await page.click(f"{TALK} button[aria-label=More]")
    await page.click("[role=menuitem]", "Stop agent")
    heard = await app.bolt.next()
    assert (heard["callback_id"], heard["message"]["text"]) == ("stop_agent", "something to stop")


async def test_only_what_calls_a_person_is_counted(page: Page, app: Workspace) -> None:
    await page.click("nav button", "Start here")
    posted = await app.client.chat_postMessage(channel=GENERAL, text="news for nobody")
    await page.has("nav button[aria-label='general, unread']")
    await app.client.chat_postMessage(channel=GENERAL, text="<@U00000ANA> news for you")
    await page.has("nav button[aria-label='general, 1 notification']")
    await page.until("document.title.startsWith('(1)')")
    await app.client.chat_update(channel=GENERAL, ts=posted["ts"], text="<@U00000ANA> edited")
    await page.click("nav button", "general")
    await page.sees("edited", TALK)
    await page.has("nav button[aria-label=general]")
    await page.until("!document.title.startsWith('(')")


async def test_commands_and_their_words_are_completed_by_keys_alone(page: Page) -> None:
    field = "document.querySelector('.talk textarea').value"
    await page.type("/ag")
    await page.sees("/agent", ".completion li")
    await page.press("Tab")
    assert await page.run(field) == "/agent "
    await page.sees("demo/todo", ".completion")
    await page.type("demo/t")
    await page.until("document.querySelectorAll('.talk .completion li').length === 1")
    await page.press("Tab")
    assert await page.run(field) == "/agent demo/todo "
    await page.type("--mo")
    await page.sees("--model", ".completion")
    await page.press("Escape")
    await page.lacks(".talk .completion")
    await page.press("Backspace", times=40)
    await page.type("hello @be")
    await page.press("Enter")
    assert await page.run(field) == "hello @ben "
    await page.press("Enter")
    await page.sees("@ben", f"{TALK} .mention")


async def test_the_inspector_shows_calls_refusals_and_rate_limits_with_their_json(
    page: Page, app: Workspace
) -> None:
    await page.click("button", "Inspector")
    app.playground.slack.faults.fail("chat.postMessage", FaultKind.RATE_LIMITED)
    post = app.client.chat_postMessage
    assert await refused(post(channel=GENERAL, text="too fast")) == "ratelimited"
    assert await refused(post(channel="C0NOWHERE0", text="lost")) == "channel_not_found"
    await post(channel=GENERAL, text="well")
    await page.sees("chat.postMessage → ok", ".inspector")
    await page.sees("channel_not_found", ".inspector")
    await page.sees("1 rate limited", ".inspector")
    await page.click(".inspector button", "Refused")
    await page.click(".inspector .entry", "channel_not_found")
    await page.sees('"error": "channel_not_found"', ".inspector pre")
    assert app.playground.bot_token not in await page.text(".inspector")
    await app.playground.person("ben").say("an event")
    await page.click(".inspector button", "Events")
    await page.sees("event message", ".inspector")
