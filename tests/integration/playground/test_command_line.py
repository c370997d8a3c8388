import asyncio
import json
import signal
import socket
import sys
from typing import Any

import aiohttp
import pytest

from playground.chat import converse, parse
from playground.server import Playground
from tests.integration.playground.bolt import Bolt


async def chat(playground: Playground, *arguments: str) -> int:
    url = playground.slack.trigger_tokens.base_url
    return await converse(parse([*arguments, "--url", url, "--timeout", "5"]))


async def test_the_chat_follows_a_command_to_its_final_answer(
    playground: Playground, bolt: Bolt, capsys: pytest.CaptureFixture[str]
) -> None:
    @bolt.app.command("/agent")
    async def start(ack: Any, command: dict[str, Any], client: Any) -> None:
        await ack()
        channel = command["channel_id"]
        root = await client.chat_postMessage(channel=channel, text="root")
        thread = {"channel": channel, "thread_ts": root["ts"]}
        card = await client.chat_postMessage(text="card", **thread)
        await client.chat_update(channel=channel, ts=card["ts"], text="card, done")
        await client.chat_postMessage(markdown_text="**the answer**", **thread)

    await bolt.connect()
    assert await chat(playground, "/agent demo/todo fix it") == 0
    printed = capsys.readouterr().out
    order = [
        printed.index(text)
        for text in ("bot: root", "bot: card", "~ bot: card, done", "**the answer**", "--thread")
    ]
    assert order == sorted(order)


async def test_the_chat_shows_a_private_answer_and_ends(
    playground: Playground, bolt: Bolt, capsys: pytest.CaptureFixture[str]
) -> None:
    @bolt.app.command("/agent")
    async def refuse(ack: Any) -> None:
        await ack("Type `/agent help`.")

    await bolt.connect()
    assert await chat(playground, "/agent") == 0
    assert "(only you) Type `/agent help`." in capsys.readouterr().out


async def test_a_reply_and_a_stop_go_into_the_thread(playground: Playground, bolt: Bolt) -> None:
    @bolt.app.event("message")
    @bolt.app.event("reaction_added")
    async def listen(event: dict[str, Any], client: Any) -> None:
        await bolt.heard.put(event)
        item = event.get("item", event)
        thread_ts = event.get("thread_ts", item["ts"])
        if "thread_ts" in event or event["type"] == "reaction_added":
            await client.chat_postMessage(
                channel=item["channel"], thread_ts=thread_ts, text="⏹ Stopped by @ana"
            )

    await bolt.connect()
    ts = await playground.person("ana").say("root")
    assert (await bolt.next())["text"] == "root"
    assert await chat(playground, "--thread", ts, "--reply", "go on") == 0
    assert (await bolt.next())["thread_ts"] == ts
    assert await chat(playground, "--thread", ts, "--stop") == 0
    assert (await bolt.next())["reaction"] == "octagonal_sign"


async def test_the_chat_says_why_it_cannot(
    playground: Playground, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await chat(playground, "/agent x") == 1
    assert "dispatch_failed" in capsys.readouterr().err
    assert await chat(playground, "/agent x", "--as", "nobody") == 1
    assert "no @nobody" in capsys.readouterr().err
    assert await converse(parse(["hi", "--url", "http://127.0.0.1:9"])) == 1
    assert "No playground answers" in capsys.readouterr().err


async def test_the_servers_announce_themselves_and_end_on_a_signal() -> None:
    ports = [f"--{name}-port=0" for name in ("slack", "model", "git")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "playground", "--announce", *ports, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        settings = json.loads(await process.stdout.readline())
        headers = {"Authorization": f"Bearer {settings['SLACK_BOT_TOKEN']}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(settings["SLACK_API_URL"] + "auth.test") as response,
        ):
            assert (await response.json())["ok"]
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    assert settings["OPENROUTER_BASE_URL"].endswith("/v1")
    assert settings["GITHUB_URL"].startswith("http://127.0.0.1:")


async def test_a_taken_port_is_named_and_the_next_free_one_is_used() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "playground", "--announce"),
            *(f"--slack-port={port}", "--model-port=0", "--git-port=0"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(20):
            settings = json.loads(await process.stdout.readline())
            said = (await process.stderr.readline()).decode()
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    assert f"port {port} is taken" in said
    assert not settings["SLACK_API_URL"].startswith(f"http://127.0.0.1:{port}/")
