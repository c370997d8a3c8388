"""Requests that two servers might read differently: none of them reaches the provider."""

import asyncio
from urllib.parse import urlsplit

import pytest

from bot.gateway.server import HostGateway
from tests.integration.gateway.conftest import API, Provider
from tests.integration.gateway.test_model_proxy import echo

BODY = b'{"model":"m","messages":[{"role":"user","content":"x"}]}'
LENGTH = str(len(BODY)).encode()
CHAT = b"/model/v1/chat/completions"


async def say(gateway: HostGateway, head: bytes, body: bytes) -> bytes:
    """Send bytes as they are; the status line of the answer, b"" when none comes."""
    access = gateway.access("k3f9ab", API)
    at = urlsplit(access.model_base_url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    token = access.token.get_secret_value().encode()
    auth = b"Authorization: Bearer " + token + b"\r\nContent-Type: application/json\r\n"
    first, _, headers = head.partition(b"\n")
    lines = first + b"\r\nHost: x\r\n" + auth + headers.replace(b"\n", b"\r\n")
    writer.write(lines + b"\r\n\r\n" + body)
    try:
        async with asyncio.timeout(1):
            return await reader.readline()
    except TimeoutError:  # it waits for the rest of the body
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"POST %s HTTP/1.1\nContent-Length: %s\nContent-Length: 5" % (CHAT, LENGTH), BODY),
        (
            b"POST %s HTTP/1.1\nContent-Length: %s\nContent-Length: %s" % (CHAT, LENGTH, LENGTH),
            BODY,
        ),
        (b"POST %s HTTP/1.1\nContent-Length: +%s" % (CHAT, LENGTH), BODY),
        (b"POST %s HTTP/1.1\nContent-Length: %s, %s" % (CHAT, LENGTH, LENGTH), BODY),
        (
            b"POST %s HTTP/1.1\nContent-Length: %s\nTransfer-Encoding: chunked" % (CHAT, LENGTH),
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
        ),
        (b"POST %s HTTP/1.1\nTransfer-Encoding: gzip, chunked" % CHAT, b"0\r\n\r\n"),
        (b"POST %s HTTP/1.1\nTransfer-Encoding: xchunked" % CHAT, b"0\r\n\r\n"),
        (
            b"POST %s HTTP/1.1\nTransfer-Encoding: chunked\nTransfer-Encoding: identity" % CHAT,
            b"0\r\n\r\n",
        ),
        (b"POST %s HTTP/1.1\nContent-Length : %s" % (CHAT, LENGTH), BODY),
        (b"POST %s HTTP/1.1\nX: 1\n folded: 2\nContent-Length: %s" % (CHAT, LENGTH), BODY),
        (b"POST %s HTTP/1.1\nUpgrade: h2c\nContent-Length: %s" % (CHAT, LENGTH), BODY),
        (b"POST /model%%2Fv1/chat/completions HTTP/1.1\nContent-Length: %s" % LENGTH, BODY),
        (b"POST /model/v1/chat%%2fcompletions HTTP/1.1\nContent-Length: %s" % LENGTH, BODY),
        (b"POST /model/v1/%%63hat/completions HTTP/1.1\nContent-Length: %s" % LENGTH, BODY),
        (b"POST /model/v1//chat/completions HTTP/1.1\nContent-Length: %s" % LENGTH, BODY),
        (b"POST /model/v1/x/../chat/completions HTTP/1.1\nContent-Length: %s" % LENGTH, BODY),
        (b"POST /model/v1/chat/completions;a HTTP/1.1\nContent-Length: %s" % LENGTH, BODY),
        (b"PUT %s HTTP/1.1\nContent-Length: %s" % (CHAT, LENGTH), BODY),
        (b"post %s HTTP/1.1\nContent-Length: %s" % (CHAT, LENGTH), BODY),
        (b"CONNECT %s HTTP/1.1\nContent-Length: %s" % (CHAT, LENGTH), BODY),
        (b"OPTIONS %s HTTP/1.1\nContent-Length: 0" % CHAT, b""),
        (b"HEAD /model/v1/models HTTP/1.1\nContent-Length: 0", b""),
        (b"POST %s HTTP/9.9\nContent-Length: %s" % (CHAT, LENGTH), BODY),
        (b"POST %s HTTP/1.1\nContent-Encoding: gzip\nContent-Length: %s" % (CHAT, LENGTH), BODY),
        # Half a body, and a second request behind the first one's refusal.
        (b"POST %s HTTP/1.1\nContent-Length: 999" % CHAT, BODY),
    ],
)
async def test_none_of_them_passes(
    gateway: HostGateway, provider: Provider, head: bytes, body: bytes
) -> None:
    provider.chat = echo
    answer = await say(gateway, head, body)
    assert b" 200 " not in answer
    assert answer or b" 999" in head
    assert provider.chats == []


async def test_a_plain_one_passes(gateway: HostGateway, provider: Provider) -> None:
    provider.chat = echo
    head = b"POST %s HTTP/1.1\nConnection: close\nContent-Length: %s" % (CHAT, LENGTH)
    assert b" 200 " in await say(gateway, head, BODY)
    assert len(provider.chats) == 1
