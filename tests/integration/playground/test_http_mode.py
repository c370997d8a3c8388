import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from playground.free_port import listening
from playground.server import Playground


@asynccontextmanager
async def serving(app: AsyncApp) -> AsyncIterator[str]:
    async with listening(app.web_app("/slack/events"), "127.0.0.1", (0,)) as url:
        yield f"{url}/slack/events"


def http_app(playground: Playground, client: AsyncWebClient, secret: str = "") -> AsyncApp:
    return AsyncApp(name="tests", client=client, signing_secret=secret or playground.signing_secret)


async def test_signed_requests_carry_events_and_commands(
    playground: Playground, client: AsyncWebClient
) -> None:
    app = http_app(playground, client)

    @app.event("message")
    async def listen(event: dict[str, Any], say: Any) -> None:
        await say(text=f"heard {event['text']}", thread_ts=event["ts"])

    @app.command("/agent")
    async def command(ack: Any, command: dict[str, Any]) -> None:
        await ack(f"got {command['text']}")

    async with serving(app) as url:
        playground.slack.use_http(url)
        ana = playground.person("ana")
        ts = await ana.say("by http")
        await ana.wait_for_message("heard by http", thread_ts=ts)
        assert (await ana.slash("/agent", "a & b")).ok
        assert ana.ephemerals()[0].text == "got a & b"
        await playground.slack.delivery.idle()


async def test_an_app_with_another_secret_refuses_every_attempt(
    playground: Playground, client: AsyncWebClient
) -> None:
    async with serving(http_app(playground, client, "another-secret")) as url:
        playground.slack.use_http(url)
        await playground.person("ana").say("unsigned?")
        await playground.slack.delivery.idle()
    failures = playground.feed.entries("delivery_failed")
    assert [e.data["reason"] for e in failures] == ["http_error"] * 4


@pytest.mark.parametrize("no_retry", [True, False])
async def test_retries_carry_headers_and_stop_when_told(
    playground: Playground, no_retry: bool
) -> None:
    seen: asyncio.Queue[tuple[str | None, str | None]] = asyncio.Queue()

    async def refuse(request: web.Request) -> web.Response:
        headers = request.headers
        await seen.put((headers.get("X-Slack-Retry-Num"), headers.get("X-Slack-Retry-Reason")))
        return web.Response(status=500, headers={"x-slack-no-retry": "1"} if no_retry else {})

    app = web.Application()
    app.router.add_post("/", refuse)
    async with listening(app, "127.0.0.1", (0,)) as url:
        playground.slack.use_http(url)
        await playground.person("ana").say("x")
        await playground.slack.delivery.idle()
    first = [(None, None)]
    again = [("1", "http_error"), ("2", "http_error"), ("3", "http_error")]
    expected = first if no_retry else first + again
    assert [seen.get_nowait() for _ in range(seen.qsize())] == expected


async def test_a_command_to_an_app_that_is_away_fails_visibly(playground: Playground) -> None:
    playground.slack.use_http("http://127.0.0.1:9/slack/events")
    assert (await playground.person("ana").slash("/agent")).error == "dispatch_failed"


async def test_the_control_api_acts_and_shows(
    playground: Playground, session: aiohttp.ClientSession
) -> None:
    base = playground.slack.trigger_tokens.base_url
    async with session.post(f"{base}/playground/people/ana/say", json={"text": "hi"}) as response:
        ts = (await response.json())["result"]
    async with session.get(f"{base}/playground/people/ben/channels/general/{ts}") as response:
        assert (await response.json())["messages"][0]["text"] == "hi"
    async with session.get(f"{base}/playground/feed", params={"after": "0"}) as response:
        line = await anext(line async for line in response.content if line.startswith(b"data"))
        assert b'"kind": "message"' in line
    async with session.get(f"{base}/playground/calls") as response:
        assert (await response.json())["calls"] == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("people/nobody/say", {"text": "x"}),
        ("people/ana/sing", {}),
        ("people/ana/say", {"tune": "x"}),
        ("people/eve/say", {"text": "x", "channel": "dev"}),
        ("people/ana/react", {"channel": "general", "ts": "1", "name": "x"}),
        ("faults", {"method": "auth.test", "kind": "sulk"}),
        ("socket", {"action": "dance"}),
    ],
)
async def test_the_control_api_says_what_is_wrong(
    playground: Playground, session: aiohttp.ClientSession, path: str, body: dict[str, Any]
) -> None:
    url = f"{playground.slack.trigger_tokens.base_url}/playground/{path}"
    async with session.post(url, json=body) as response:
        assert response.status == 400
        assert (await response.json())["error"]
    async with session.post(url, data="x=1") as response:
        assert response.status == 400
