"""The watch over a stream that is played by a queue."""

import asyncio
import queue
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest

from bot.errors import EngineError
from bot.runtime.events import EngineEvents


class QueuedStream:
    """Yields what is put; None ends it, an exception is raised; closing ends it too."""

    def __init__(self, *events: dict[str, Any] | Exception | None) -> None:
        self.events: queue.SimpleQueue[dict[str, Any] | Exception | None] = queue.SimpleQueue()
        self.closed = 0
        for event in events:
            self.events.put(event)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while (event := self.events.get(timeout=10)) is not None:
            if isinstance(event, Exception):
                raise event
            yield event

    def close(self) -> None:
        self.closed += 1
        self.events.put(None)


def died(agent_id: str) -> dict[str, Any]:
    return {"Action": "die", "Actor": {"Attributes": {"threadsmith.agent": agent_id}}}


def watching(stream: QueuedStream) -> EngineEvents:
    return EngineEvents(lambda: stream, "unix:///engine.sock")


async def test_ids_come_in_order_and_the_end_of_the_stream_is_quiet() -> None:
    stream = QueuedStream(died("a"), died("b"), None)
    assert [agent_id async for agent_id in watching(stream).agent_ids()] == ["a", "b"]


async def test_a_storm_of_one_agent_is_told_once_until_it_is_read() -> None:
    stream = QueuedStream(*[died("a")] * 5_000, died("b"), None)
    seen = []
    async with aclosing(watching(stream).agent_ids()) as agent_ids:
        async for agent_id in agent_ids:
            seen.append(agent_id)
            while not stream.events.empty():
                await asyncio.sleep(0)
    assert seen.count("a") < 100
    assert seen[-1] == "b"


async def test_events_without_our_label_are_passed_over() -> None:
    strange: list[dict[str, Any]] = [{}, {"Actor": {}}, {"Actor": {"Attributes": {}}}, died("")]
    stream = QueuedStream(*strange, died("a"), None)
    assert [agent_id async for agent_id in watching(stream).agent_ids()] == ["a"]


async def test_a_broken_stream_is_an_engine_error_after_what_it_told() -> None:
    stream = QueuedStream(died("a"), ConnectionResetError("cut"))
    agent_ids = watching(stream).agent_ids()
    assert await anext(agent_ids) == "a"
    with pytest.raises(EngineError, match="cut"):
        await anext(agent_ids)


async def test_an_engine_that_refuses_the_stream_is_an_engine_error() -> None:
    def refuse() -> QueuedStream:
        raise EngineError("no", "refused")

    with pytest.raises(EngineError, match="refused"):
        await anext(EngineEvents(refuse, "unix:///engine.sock").agent_ids())


async def test_leaving_early_closes_the_stream_once() -> None:
    stream = QueuedStream(died("a"))
    async with aclosing(watching(stream).agent_ids()) as agent_ids:
        assert await anext(agent_ids) == "a"
    assert stream.closed == 1


async def test_closing_while_the_stream_opens_ends_the_watch_and_then_the_stream() -> None:
    opening, open_now, stream = asyncio.Event(), queue.SimpleQueue[None](), QueuedStream()
    loop = asyncio.get_running_loop()

    def slow() -> QueuedStream:
        loop.call_soon_threadsafe(opening.set)
        open_now.get(timeout=10)
        return stream

    watch = EngineEvents(slow, "unix:///engine.sock")
    waiting = asyncio.create_task(anext(watch.agent_ids(), None))
    await opening.wait()
    watch.close()
    assert await waiting is None
    open_now.put(None)
    await asyncio.wait_for(watch._finished.wait(), 10)
    assert stream.closed == 1
