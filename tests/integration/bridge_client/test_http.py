"""Requests to the bridge and their answers."""

import asyncio
import io
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from bot.bridge_client import HttpBridge
from bot.domain.container import BridgeAddress
from bot.errors import AnswerTooLarge, BridgeRefused, BridgeUnreachable
from bridge.protocol import (
    PROTOCOL_VERSION,
    ChatRequest,
    Disposition,
    ErrorCode,
    ExecuteRequest,
    SessionStatus,
    WorkspaceRequest,
)
from tests.integration.bridge_client.conftest import TOKEN, FakeBridge

HEALTH = {"status": "ok", "protocol": PROTOCOL_VERSION, "instance_id": "i1"}
EXECUTE = ExecuteRequest(task_id="t1", text="do it", model="m")


async def test_it_waits_until_the_bridge_answers(bridge: HttpBridge, fake: FakeBridge) -> None:
    async def booting(request: web.Request) -> web.Response:
        if len(fake.requests) < 4:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(HEALTH)

    fake.handlers["/health"] = booting
    await bridge.wait_ready(fake.address, 5)
    assert len(fake.requests) == 4
    assert "Authorization" not in fake.requests[0].headers


async def test_a_bridge_that_never_listens_is_unreachable_with_the_reason(
    bridge: HttpBridge,
) -> None:
    nowhere = BridgeAddress("http://127.0.0.1:1", SecretStr(TOKEN))
    with pytest.raises(BridgeUnreachable, match=r"not ready in 0\.2 s.*ClientConnector"):
        await bridge.wait_ready(nowhere, 0.2)


async def test_a_bridge_that_accepts_and_says_nothing_is_unreachable(
    bridge: HttpBridge, fake: FakeBridge
) -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    fake.handlers["/health"] = silent
    with pytest.raises(BridgeUnreachable, match="not ready"):
        await bridge.wait_ready(fake.address, 0.2)


async def test_a_newer_protocol_is_refused_with_the_next_step(
    bridge: HttpBridge, fake: FakeBridge
) -> None:
    fake.answers("/health", HEALTH | {"protocol": PROTOCOL_VERSION + 1, "news": 1})
    with pytest.raises(BridgeRefused, match="upgrade the bot"):
        await bridge.wait_ready(fake.address, 1)


async def test_requests_carry_the_token_and_ask_for_json(
    bridge: HttpBridge, fake: FakeBridge
) -> None:
    bodies = []

    async def accepting(request: web.Request) -> web.Response:
        bodies.append(await request.json())
        answer = {"disposition": "queued", "task_id": "t1", "position": 2}
        return web.json_response(answer, status=202)

    fake.handlers["/agent/execute"] = fake.handlers["/agent/chat"] = accepting
    accepted = await bridge.execute(fake.address, EXECUTE)
    assert (accepted.disposition, accepted.position) == (Disposition.QUEUED, 2)
    chat = ChatRequest(message_id="m1", task_id="t2", text="and this")
    await bridge.chat(fake.address, chat)
    assert ExecuteRequest.model_validate(bodies[0]) == EXECUTE
    assert ChatRequest.model_validate(bodies[1]) == chat
    for request in fake.requests:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        assert request.headers["Accept"] == "application/json"


async def test_the_other_answers_are_read(bridge: HttpBridge, fake: FakeBridge) -> None:
    ready = {
        "repository": "acme/api",
        "source_branch": "main",
        "target_branch": "agent/x",
        "base_commit": "a" * 40,
        "duration_seconds": 0.5,
    }
    fake.answers("/agent/workspace", ready)
    fake.answers("/agent/interrupt", {})
    fake.answers("/agent/status", {"status": "idle", "instance_id": "i", "news": 1})
    fake.answers("/agent/diff", {"base_commit": "a", "text": "x" * (2**21 + 5)})

    async def patch(_: web.Request) -> web.Response:
        return web.Response(body=b"diff --git\n\xff")

    fake.handlers["/agent/patch"] = patch
    wanted = WorkspaceRequest(
        repository="acme/api", clone_url="http://127.0.0.1/x.git", target_branch="agent/x"
    )
    assert (await bridge.prepare(fake.address, wanted)).base_commit == "a" * 40
    await bridge.interrupt(fake.address, 1)
    assert (await bridge.status(fake.address)).status is SessionStatus.IDLE
    diff = await bridge.diff(fake.address)
    assert (len(diff.text), diff.truncated) == (2**21, True)
    assert await bridge.patch(fake.address) == b"diff --git\n\xff"


@pytest.mark.parametrize(
    "body",
    [
        {"code": "queue_full", "message": "full"},
        {"error": {"code": "queue_full", "message": "full"}},
    ],
)
async def test_an_error_of_the_contract_keeps_its_code(
    bridge: HttpBridge, fake: FakeBridge, body: object
) -> None:
    fake.answers("/agent/execute", body, 409)
    with pytest.raises(BridgeRefused) as caught:
        await bridge.execute(fake.address, EXECUTE)
    assert (caught.value.status, caught.value.error.code) == (409, "queue_full")


@pytest.mark.parametrize("body", [[], {"code": "x" * 100}, "text", {"error": None}, 7])
async def test_any_other_error_is_internal(
    bridge: HttpBridge, fake: FakeBridge, body: object
) -> None:
    fake.answers("/agent/execute", body, 500)
    with pytest.raises(BridgeRefused) as caught:
        await bridge.execute(fake.address, EXECUTE)
    assert (caught.value.status, caught.value.error.code) == (500, "internal")


@pytest.mark.parametrize("body", [[], {}, {"disposition": "dancing", "task_id": "t"}, "x"])
async def test_an_answer_of_another_shape_is_no_answer(
    bridge: HttpBridge, fake: FakeBridge, body: object
) -> None:
    fake.answers("/agent/execute", body)
    with pytest.raises(BridgeUnreachable, match="not a Accepted"):
        await bridge.execute(fake.address, EXECUTE)


@pytest.mark.parametrize(
    ("path", "megabytes"), [("/agent/status", 1), ("/agent/patch", 21), ("/agent/execute", 1)]
)
async def test_an_answer_beyond_its_bound_is_no_answer(
    bridge: HttpBridge, fake: FakeBridge, path: str, megabytes: int
) -> None:
    async def huge(_: web.Request) -> web.Response:
        return web.Response(body=io.BytesIO(b"x" * (megabytes * 2**20)))

    fake.handlers[path] = huge
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "/agent/status": lambda: bridge.status(fake.address),
        "/agent/patch": lambda: bridge.patch(fake.address),
        "/agent/execute": lambda: bridge.execute(fake.address, EXECUTE),
    }
    with pytest.raises(BridgeUnreachable, match="more than"):
        await calls[path]()


async def test_a_slow_answer_is_given_up(bridge: HttpBridge, fake: FakeBridge) -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    fake.handlers["/agent/interrupt"] = silent
    with pytest.raises(BridgeUnreachable, match="Timeout"):
        await bridge.interrupt(fake.address, 0.1)


async def test_the_token_is_in_no_error(fake: FakeBridge) -> None:
    async with aiohttp.ClientSession() as session:
        fake.answers("/agent/status", {}, 401)
        with pytest.raises(BridgeRefused) as caught:
            await HttpBridge(session).status(fake.address)
    assert TOKEN not in str(caught.value) + repr(caught.value)


async def test_an_answer_that_the_bridge_itself_finds_too_large_is_not_asked_for_again(
    bridge: HttpBridge, fake: FakeBridge
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        error = {"code": ErrorCode.TOO_LARGE, "message": "The patch is larger than 20 MiB."}
        return web.json_response(error, status=422)

    fake.handlers["/agent/patch"] = refuse
    with pytest.raises(AnswerTooLarge, match="larger than 20 MiB"):
        await bridge.patch(fake.address)
