"""The WebSocket tells what the stream tells, and hears control frames, nothing else."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.integration.bridge.conftest import TOKEN, Client, Provider, calls, says

FIN, MASKED = 0x80, 0x80
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def frame(opcode: int, payload: bytes = b"", *, first: int = FIN) -> bytes:
    """A frame as a client sends it, masked with zeros."""
    size = len(payload)
    length = bytes([MASKED | size]) if size < 126 else b"\xff" + size.to_bytes(8, "big")
    return bytes([first | opcode]) + length + bytes(4) + payload


JUNK = {
    "text": (frame(TEXT, b"hello"), 1003),
    "no text at all": (frame(TEXT), 1003),
    "binary": (frame(BINARY, b"\0\1"), 1003),
    "in parts": (frame(TEXT, b"a", first=0) + frame(CONTINUATION, b"b"), 1003),
    "bad utf-8": (frame(TEXT, b"\xff\xfe"), 1007),
    "a surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "too long": (frame(TEXT, b"x" * 5_000), 1009),
    "says to be enormous": (b"\x81\xff" + (2**62).to_bytes(8, "big"), 1009),
    "too long in parts": (
        frame(BINARY, b"x" * 3_000, first=0) + frame(CONTINUATION, b"x" * 3_000),
        1009,
    ),
    "never ending parts": (
        frame(BINARY, b"x" * 100, first=0) + 100 * frame(CONTINUATION, b"x" * 100, first=0),
        1009,
    ),
    "a part of nothing": (frame(CONTINUATION, b"x"), 1002),
    "an unknown opcode": (frame(0x3, b"x"), 1002),
    "reserved bits": (frame(TEXT, b"x", first=FIN | 0x70), 1002),
    "compressed, never agreed": (frame(TEXT, b"x", first=FIN | 0x40), 1002),
    "a long ping": (frame(PING, b"x" * 126), 1002),
    "half a ping": (frame(PING, b"x", first=0), 1002),
    "a close without a code": (frame(CLOSE, b"x"), 1002),
    "a close with a bad code": (frame(CLOSE, (5).to_bytes(2, "big")), 1002),
    "http": (b"GET /agent/status HTTP/1.1\r\nHost: x\r\n\r\n", 1002),
    "noise": (bytes(range(255, 100, -1)), 1002),
}


@asynccontextmanager
async def socket_of(
    client: Client,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A WebSocket without a library, that has every event so far."""
    last = (await client.get("/agent/status"))[1]["last_seq"]
    host, _, port = client.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write(
        f"GET /agent/ws?after={last} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n".encode()
    )
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert b"permessage-deflate" not in head
    yield reader, writer
    writer.transport.abort()


async def next_frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    async with asyncio.timeout(5):
        first, length = await reader.readexactly(2)
        assert first & FIN
        return first & 0xF, await reader.readexactly(length)


async def close_code(reader: asyncio.StreamReader) -> int:
    while True:
        opcode, payload = await next_frame(reader)
        if opcode == CLOSE:
            return int.from_bytes(payload[:2], "big")
        assert opcode == PING  # it asks whether the reader is still there


@pytest.mark.parametrize(("junk", "code"), JUNK.values(), ids=JUNK.keys())
async def test_whoever_sends_junk_is_closed_with_a_code(
    client: Client, junk: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with socket_of(client) as (reader, writer):
        writer.write(junk)
        assert await close_code(reader) == code
        writer.write(junk * 3 + frame(CLOSE, (1000).to_bytes(2, "big")))  # only an end is heard
        async with asyncio.timeout(5):
            while await reader.read(1_000):
                pass
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert (await client.get("/agent/status"))[0] == 200


async def test_control_frames_are_answered(client: Client) -> None:
    async with socket_of(client) as (reader, writer):
        writer.write(frame(PONG, b"nobody asked") + frame(PING, b"there?"))
        while (answer := await next_frame(reader))[0] == PING:
            pass
        assert answer == (PONG, b"there?")
        writer.write(frame(CLOSE, (1000).to_bytes(2, "big")))
        assert await close_code(reader) == 1000


async def test_websocket_frames_equal_the_streamed_ones(client: Client, provider: Provider) -> None:
    provider.script = [calls(("list_directory", {})), says("Done.")]
    await client.execute()
    streamed = [data for number, _, data in await client.frames("task_finished") if number]
    async with client.http.ws_connect(client.url + "/agent/ws?after=2") as socket_:
        received = [await socket_.receive_str(timeout=5) for _ in streamed[2:]]
    assert received == streamed[2:]
