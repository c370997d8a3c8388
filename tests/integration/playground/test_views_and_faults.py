import asyncio
from typing import Any

import aiohttp
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from playground.server import Playground, PlaygroundSettings, running
from playground.slack.slack_settings import SlackSettings
from tests.integration.playground.bolt import Bolt, refused

GENERAL = "C0GENERAL0"


async def test_a_modal_opens_by_a_fresh_trigger_once_and_its_values_come_back(
    playground: Playground, bolt: Bolt
) -> None:
    modal = {
        "type": "modal",
        "callback_id": "start",
        "title": {"type": "plain_text", "text": "Start"},
        "submit": {"type": "plain_text", "text": "Go"},
        "blocks": [
            {
                "type": "input",
                "block_id": "task",
                "label": {"type": "plain_text", "text": "Task"},
                "element": {"type": "plain_text_input", "action_id": "text"},
            }
        ],
    }

    @bolt.app.command("/agent")
    async def open_modal(ack: Any, command: dict[str, Any], client: AsyncWebClient) -> None:
        await ack()
        await client.views_open(trigger_id=command["trigger_id"], view=modal)
        again = client.views_open(trigger_id=command["trigger_id"], view=modal)
        await bolt.heard.put({"again": await refused(again)})

    @bolt.app.view("start")
    async def submitted(ack: Any, view: dict[str, Any]) -> None:
        value = view["state"]["values"]["task"]["text"]["value"]
        if value == "bad":
            await ack(response_action="errors", errors={"task": "no"})
        else:
            await ack()
            await bolt.heard.put({"task": value})

    await bolt.connect()
    ana = playground.person("ana")
    assert (await ana.slash("/agent")).ok
    assert await bolt.next() == {"again": "exchanged_trigger_id"}
    await ana.wait_for_view("Start")
    refusal = await ana.submit_view({"text": "bad"})
    assert refusal.answer == {"response_action": "errors", "errors": {"task": "no"}}
    assert len(ana.views()) == 1
    await ana.submit_view({"text": "fix it"})
    assert await bolt.next() == {"task": "fix it"}
    assert ana.views() == []


async def test_buttons_shortcuts_home_and_the_stop_button_reach_the_app(
    playground: Playground, bolt: Bolt, client: AsyncWebClient
) -> None:
    @bolt.app.action("stop")
    async def clicked(ack: Any, body: dict[str, Any], respond: Any) -> None:
        await ack()
        await respond(text="stopped", replace_original=True)
        await bolt.heard.put(body)

    @bolt.app.shortcut("stop_agent")
    async def used(ack: Any, shortcut: dict[str, Any]) -> None:
        await ack()
        await bolt.heard.put(shortcut)

    @bolt.app.event("app_home_opened")
    async def home(event: dict[str, Any], client: AsyncWebClient) -> None:
        await client.views_publish(
            user_id=event["user"], view={"type": "home", "blocks": [{"type": "divider"}]}
        )

    @bolt.app.event("agent_session_stopped")
    async def stopped(event: dict[str, Any]) -> None:
        await bolt.heard.put(event)

    await bolt.connect()
    button = {"type": "button", "action_id": "stop", "value": "k3f9"}
    button["text"] = {"type": "plain_text", "text": "Stop"}  # type: ignore[assignment]
    blocks = [{"type": "actions", "elements": [button]}]
    ts = (await client.chat_postMessage(channel=GENERAL, text="card", blocks=blocks))["ts"]
    ben = playground.person("ben")
    assert (await ben.click("stop", "general")).ok
    assert (await bolt.next())["actions"][0]["value"] == "k3f9"
    await ben.wait_for_message("stopped")
    assert (await ben.shortcut("stop_agent", "general", ts)).ok
    assert (await bolt.next())["message"]["ts"] == ts
    await ben.stop_session("general", ts)
    assert (await bolt.next())["thread_ts"] == ts
    await ben.open_home()
    await playground.feed.until(ben.home)


async def test_session_status_can_be_off() -> None:
    settings = SlackSettings(sessions_error="not_authorized")
    async with running(PlaygroundSettings(slack=settings)) as playground:
        client = AsyncWebClient(token=playground.bot_token, base_url=playground.slack_url)
        ts = (await client.chat_postMessage(channel=GENERAL, text="x"))["ts"]
        call = client.agents_sessions_setStatus(
            channel_id=GENERAL, thread_ts=ts, status="processing"
        )
        assert await refused(call) == "not_authorized"


async def test_session_status_is_a_closed_set(
    playground: Playground, client: AsyncWebClient
) -> None:
    ts = (await client.chat_postMessage(channel=GENERAL, text="x"))["ts"]
    await client.agents_sessions_setStatus(channel_id=GENERAL, thread_ts=ts, status="processing")
    assert playground.slack.state.sessions[GENERAL, ts]["status"] == "processing"
    free = client.agents_sessions_setStatus(channel_id=GENERAL, thread_ts=ts, status="typing…")
    assert await refused(free) == "invalid_arguments"


async def test_faults_strike_as_often_as_planned(
    playground: Playground, client: AsyncWebClient, session: aiohttp.ClientSession
) -> None:
    faults = playground.slack.faults
    faults.fail("auth.test", "rate_limited", seconds=7)
    with pytest.raises(SlackApiError) as caught:
        await client.auth_test()
    assert caught.value.response.headers["Retry-After"] == "7"
    url = f"{playground.slack_url}auth.test"
    seen = []
    for kind in ("server_error", "html"):
        faults.fail("auth.test", kind)
        async with session.post(url) as response:
            seen.append((response.status, response.content_type))
    assert seen == [(500, "application/json"), (503, "text/html")]
    faults.fail("auth.test", "error", code="account_inactive")
    assert await refused(client.auth_test()) == "account_inactive"
    assert (await client.auth_test())["ok"]


async def test_a_connection_cut_after_the_work_leaves_the_message_there(
    playground: Playground, session: aiohttp.ClientSession
) -> None:
    playground.slack.faults.fail("chat.postMessage", "reset_after")
    arguments = {"token": playground.bot_token, "channel": GENERAL, "text": "did it arrive?"}
    with pytest.raises(aiohttp.ClientConnectionError):
        await session.post(f"{playground.slack_url}chat.postMessage", json=arguments)
    assert [m["text"] for m in playground.person("ana").channel_messages()] == ["did it arrive?"]


async def test_a_call_that_hangs_does_not_keep_the_playground_from_closing() -> None:
    async with aiohttp.ClientSession() as session:
        async with running() as playground:
            playground.slack.faults.fail("auth.test", "timeout", seconds=3600)
            url = f"{playground.slack_url}auth.test"
            call = asyncio.create_task(session.post(url).__aenter__())
            await playground.feed.until(lambda: playground.feed.entries("fault"))
        with pytest.raises(aiohttp.ClientConnectionError):
            await call
