"""What a bridge says is without secrets before anything else of the bot sees it."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import aiohttp
import pytest
from aiohttp import web

from bot.bridge_client import HttpBridge
from bot.errors import BridgeRefused
from bot.redaction import HIDDEN, Redactor
from bridge.protocol import (
    Diff,
    FileChange,
    FilesChanged,
    ModelRetried,
    SavedConversation,
    ToolFinished,
    ToolStarted,
    WireError,
    parse_event,
)
from tests.integration.bridge_client.conftest import QUICK, FakeBridge, Stream

SECRET = "canary-exposed-K3f9/0815"


@pytest.fixture
async def hiding() -> AsyncIterator[HttpBridge]:
    async with aiohttp.ClientSession() as session:
        yield HttpBridge(session, QUICK, hide=Redactor([SECRET]))


CHANGE = FileChange(path=f"dir/{SECRET}.txt", status="added")
EVENTS = [
    ToolStarted(
        call_id="c1", tool="run_command", target=f"echo {SECRET}",
        arguments=json.dumps({"argv": ["echo", SECRET]}),
    ),
    ToolFinished(
        call_id="c1", tool="run_command", target=f"echo {SECRET}", ok=True,
        summary=f"said {SECRET}", duration_seconds=1, result=f"1: {SECRET}\n" * 200,
        files_touched=(f"a/{SECRET}",),
    ),
    FilesChanged(files=(CHANGE,)),
    ModelRetried(
        attempt=1, max_attempts=3, wait_seconds=1,
        error=WireError(code="internal", message=f"no {SECRET}"),
    ),
    parse_event(json.dumps({"type": "of_the_future", "deep": {"list": [SECRET]}})),
]  # fmt: skip


async def test_every_string_of_every_event_is_without_secrets(
    hiding: HttpBridge, fake: FakeBridge
) -> None:
    async def script(stream: Stream) -> None:
        for seq, event in enumerate(EVENTS, 1):
            data = event.model_copy(update={"seq": seq}).model_dump_json()
            await stream.send(f"id: {seq}\ndata: {data}\n\n".encode())
        await stream.stay_silent()

    fake.scripts = [script]
    found = []
    async with aclosing(hiding.events(fake.address, 0)) as events:
        async for event in events:
            found.append(event)
            if len(found) == len(EVENTS):
                break
    for event in found:
        written = event.model_dump_json()
        assert SECRET not in written
        assert HIDDEN in written
        assert type(parse_event(written)) is type(event)


async def test_a_diff_and_a_conversation_are_without_secrets_and_a_patch_is_whole(
    hiding: HttpBridge, fake: FakeBridge
) -> None:
    said = SavedConversation(
        protocol=1, last_seq=3, messages=({"role": "tool", "content": f'"{SECRET}"\n' * 30_000},)
    )
    patch = f"+{SECRET}\n".encode()

    async def diff(_: web.Request) -> web.Response:
        made = Diff(base_commit="c0ffee", files=(CHANGE,), text=f"+{SECRET}\n" * 30_000)
        return web.json_response(text=made.model_dump_json())

    async def conversation(_: web.Request) -> web.Response:
        return web.json_response(text=said.model_dump_json())

    async def raw(_: web.Request) -> web.Response:
        return web.Response(body=patch)

    fake.handlers = {
        "/agent/diff": diff, "/agent/conversation": conversation, "/agent/patch": raw,
    }  # fmt: skip
    shown = await hiding.diff(fake.address)
    assert SECRET not in shown.model_dump_json()
    assert shown.text.count(HIDDEN) == 30_000
    kept = await hiding.export(fake.address)
    assert SECRET.encode() not in kept
    assert SavedConversation.model_validate_json(kept).last_seq == 3
    assert await hiding.patch(fake.address) == patch


async def test_variables_go_as_they_are_and_a_bridge_that_knows_none_says_so(
    hiding: HttpBridge, fake: FakeBridge
) -> None:
    bodies = []

    async def environment(request: web.Request) -> web.Response:
        assert request.method == "PUT"
        bodies.append(await request.json())
        return web.json_response({})

    fake.handlers["/agent/environment"] = environment
    await hiding.set_environment(fake.address, {"NPM_TOKEN": SECRET})
    await hiding.set_environment(fake.address, {})
    assert bodies == [{"variables": {"NPM_TOKEN": SECRET}}, {"variables": {}}]
    del fake.handlers["/agent/environment"]
    with pytest.raises(BridgeRefused):
        await hiding.set_environment(fake.address, {})
