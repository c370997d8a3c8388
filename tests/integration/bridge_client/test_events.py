"""The stream of events across cuts, silence, gaps and garbage."""

import asyncio
from contextlib import aclosing

import pytest
from aiohttp import web

from bot.bridge_client import HttpBridge
from bot.errors import BridgeRefused, BridgeUnreachable
from bridge.protocol import MAX_FRAME_BYTES, AgentEvent
from tests.integration.bridge_client.conftest import TOKEN, FakeBridge, Stream, frame


async def read(
    bridge: HttpBridge, fake: FakeBridge, count: int, after: int = 0
) -> list[AgentEvent]:
    found: list[AgentEvent] = []
    async with aclosing(bridge.events(fake.address, after)) as events:
        async for event in events:
            found.append(event)
            if len(found) == count:
                break
    return found


async def read_numbers(bridge: HttpBridge, fake: FakeBridge, count: int) -> list[int]:
    return [event.seq for event in await read(bridge, fake, count)]


async def test_events_come_in_order_with_the_token_shown(
    bridge: HttpBridge, fake: FakeBridge
) -> None:
    async def script(stream: Stream) -> None:
        await stream.send(*(frame(seq) for seq in range(stream.after + 1, stream.after + 4)))
        await stream.stay_silent()

    fake.scripts = [script]
    assert [event.seq for event in await read(bridge, fake, 3, after=4)] == [5, 6, 7]
    headers = fake.requests[0].headers
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Last-Event-ID"] == "4"
    assert headers["Accept"] == "text/event-stream"


async def test_a_follower_that_leaves_early_ends_its_connection(
    bridge: HttpBridge, fake: FakeBridge
) -> None:
    gone = asyncio.Event()

    async def script(stream: Stream) -> None:
        await stream.send(frame(1))
        try:
            await stream.stay_silent()
        finally:
            gone.set()

    fake.scripts = [script]
    [event] = await read(bridge, fake, 1)
    assert event.seq == 1
    async with asyncio.timeout(5):
        await gone.wait()


async def test_after_a_cut_it_goes_on_behind_the_last_one(
    bridge: HttpBridge, fake: FakeBridge
) -> None:
    async def cutting(stream: Stream) -> None:
        whole, half = frame(stream.after + 1), frame(stream.after + 2)[:20]
        await stream.send(whole + half)
        await stream.send(b"")
        if stream.after % 2:
            stream.cut()

    fake.scripts = [cutting]
    assert await read_numbers(bridge, fake, 6) == [1, 2, 3, 4, 5, 6]
    assert fake.connections[0] == "0"


async def test_frames_may_be_split_anywhere(bridge: HttpBridge, fake: FakeBridge) -> None:
    async def dripping(stream: Stream) -> None:
        stream_bytes = frame(1, "\r\n") + b": heartbeat\r\n\r\n" + frame(2, "\r") + frame(3)
        await stream.send(*(bytes([byte]) for byte in stream_bytes))
        await stream.stay_silent()

    fake.scripts = [dripping]
    assert await read_numbers(bridge, fake, 3) == [1, 2, 3]
    assert len(fake.connections) == 1


async def test_what_was_seen_is_dropped(bridge: HttpBridge, fake: FakeBridge) -> None:
    async def repeating(stream: Stream) -> None:
        await stream.send(frame(1), frame(1), frame(2), frame(1), frame(2), frame(3))
        await stream.stay_silent()

    fake.scripts = [repeating]
    assert await read_numbers(bridge, fake, 3) == [1, 2, 3]


async def test_a_gap_is_asked_for_again(bridge: HttpBridge, fake: FakeBridge) -> None:
    async def skipping(stream: Stream) -> None:
        await stream.send(frame(1), frame(3))
        await stream.stay_silent()

    async def whole(stream: Stream) -> None:
        await stream.send(frame(2), frame(3))
        await stream.stay_silent()

    fake.scripts = [skipping, whole]
    assert await read_numbers(bridge, fake, 3) == [1, 2, 3]
    assert fake.connections == ["0", "1"]


async def test_a_gap_that_stays_is_the_end(bridge: HttpBridge, fake: FakeBridge) -> None:
    async def skipping(stream: Stream) -> None:
        await stream.send(frame(stream.after + 2))
        await stream.stay_silent()

    fake.scripts = [skipping]
    with pytest.raises(BridgeUnreachable, match="event 1 is missing"):
        await read(bridge, fake, 1)
    assert len(fake.connections) == 3


async def test_a_silent_link_is_opened_anew(bridge: HttpBridge, fake: FakeBridge) -> None:
    async def dying(stream: Stream) -> None:
        await stream.send(frame(1))
        await stream.stay_silent()

    async def living(stream: Stream) -> None:
        await stream.send(frame(2))
        await stream.stay_silent()

    fake.scripts = [dying, living]
    assert await read_numbers(bridge, fake, 2) == [1, 2]
    assert fake.connections == ["0", "1"]


async def test_a_bridge_that_stays_away_is_unreachable(
    bridge: HttpBridge, fake: FakeBridge
) -> None:
    async def empty(_: Stream) -> None:
        return

    fake.scripts = [empty]
    with pytest.raises(BridgeUnreachable, match="away"):
        await read(bridge, fake, 1)
    assert len(fake.connections) > 3


async def test_a_refused_connection_is_unreachable(bridge: HttpBridge) -> None:
    with pytest.raises(BridgeUnreachable, match="away"):
        await read(bridge, FakeBridge(), 1)


async def test_an_error_of_the_contract_is_passed_on_at_once(
    bridge: HttpBridge, fake: FakeBridge
) -> None:
    fake.answers("/agent/events", {"code": "unauthorized", "message": "no"}, 401)
    with pytest.raises(BridgeRefused) as caught:
        await read(bridge, fake, 1)
    assert (caught.value.status, caught.value.error.code) == (401, "unauthorized")


async def test_a_bridge_in_trouble_is_asked_again(bridge: HttpBridge, fake: FakeBridge) -> None:
    fake.answers("/agent/events", {}, 503)
    with pytest.raises(BridgeUnreachable, match="503"):
        await read(bridge, fake, 1)
    assert len(fake.connections) > 3


async def test_an_unreadable_event_keeps_its_place(bridge: HttpBridge, fake: FakeBridge) -> None:
    async def garbled(stream: Stream) -> None:
        huge = b"id: 3\ndata: " + b"x" * (MAX_FRAME_BYTES + 1) + b"\n\n"
        wrong = b'id: 2\ndata: {"type": "step_started", "seq": 2, "step": "x"}\n\n'
        await stream.send(frame(1), wrong, huge, frame(4))
        await stream.stay_silent()

    fake.scripts = [garbled]
    events = await read(bridge, fake, 4)
    assert [event.seq for event in events] == [1, 2, 3, 4]
    assert [event.type for event in events][1:3] == ["invalid_event"] * 2
    assert len(fake.connections) == 1


@pytest.mark.parametrize(
    "garbage",
    [
        b"data: not json\n\n",
        b'data: {"type": "step_started"}\n\n',
        b'data: {"type": "task_finished", "seq": -1}\n\n',
        b'data: {"type": "step_started", "seq": 0, "step": 1, "max_steps": 1}\n\n',
        b"data: " + b"[" * 10_000 + b"\n\n",
        b"id: 999\ndata: []\n\n",
        b"data: \xff\xfe\n\n",
    ],
)
async def test_garbage_without_end_is_unreachable(
    bridge: HttpBridge, fake: FakeBridge, garbage: bytes
) -> None:
    async def script(stream: Stream) -> None:
        await stream.send(garbage * 2)
        stream.cut()

    fake.scripts = [script]
    with pytest.raises(BridgeUnreachable, match="4 invalid frames"):
        await read(bridge, fake, 1)


async def test_events_of_a_newer_bridge_and_passing_ones_come_through(
    bridge: HttpBridge, fake: FakeBridge
) -> None:
    async def script(stream: Stream) -> None:
        delta = b'data: {"type": "text_delta", "seq": 0, "text": "hel"}\n\n'
        newer = b'id: 1\ndata: {"type": "moon_landed", "seq": 1, "crater": 7}\n\n'
        await stream.send(delta, newer, delta, frame(2))
        await stream.stay_silent()

    fake.scripts = [script]
    events = await read(bridge, fake, 4)
    assert [event.type for event in events] == [
        "text_delta",
        "moon_landed",
        "text_delta",
        "step_started",
    ]


async def test_a_redirect_is_not_followed(bridge: HttpBridge, fake: FakeBridge) -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "/elsewhere"})

    fake.handlers["/agent/events"] = elsewhere
    with pytest.raises(BridgeRefused):
        await read(bridge, fake, 1)
    assert [request.path for request in fake.requests] == ["/agent/events"]
