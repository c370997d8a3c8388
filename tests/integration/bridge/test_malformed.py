"""What no client of ours sends: each gets one clear refusal, and the bridge goes on as before."""

import asyncio
import gzip
import io
import json
from typing import Any

import pytest

from bridge.http.routes import ROUTES
from tests.integration.bridge.conftest import TOKEN, Client, Provider, says

TASK = {"task_id": "t1", "text": "do it", "model": "acme/model"}
CLONE = {"repository": "acme/demo", "clone_url": "file:///nowhere", "target_branch": "agent/x"}
SAVED = {"protocol": 1, "last_seq": 0, "messages": []}
DEEP = "[" * 5_000 + "]" * 5_000
JSON_ROUTES = [
    (item.method.upper(), item.path.format(id="m1"))
    for item in ROUTES
    if isinstance(item.request, type)
]


def body(fields: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps(fields | changes).encode()


# Each is refused by every route that reads JSON.
NO_SHAPE: dict[str, bytes] = {
    "nothing": b"",
    "blank": b" \n",
    "null": b"null",
    "a list": b"[{}]",
    "a string": b'"task_id"',
    "a number": b"1e999",
    "half": b'{"task_id": "t1", ',
    "two": body(TASK) + body(TASK),
    "a comma too many": b'{"task_id": "t1",}',
    "single quotes": b"{'task_id': 't1'}",
    "a comment": b"{} // nothing",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "utf-16": json.dumps(TASK).encode("utf-16"),
    "bad utf-8": b'{"text": "\xff\xfe"}',
    "overlong utf-8": b'{"text": "\xc0\x80"}',
    "a surrogate in utf-8": b'{"text": "\xed\xa0\x80"}',
    "a surrogate in a key": b'{"\\ud800": 1}',
    "a control character": b'{"text": "\x01"}',
    "nul bytes": bytes(1_000),
    "deep lists": DEEP.encode(),
    "deep objects": b'{"a":' * 5_000,
    "a long key": b'{"' + b"k" * 1_000_000 + b'": 1}',
    "many keys": json.dumps({f"k{number}": 1 for number in range(50_000)}).encode(),
    "a form": b"task_id=t1&text=do+it",
    "gzip": gzip.compress(body(TASK)),
    "a prototype": b'{"__proto__": {}, "__class__": "x"}',
}


@pytest.mark.parametrize(("method", "path"), JSON_ROUTES, ids=[path for _, path in JSON_ROUTES])
async def test_a_body_of_no_shape_is_refused_by_every_route(
    client: Client, method: str, path: str
) -> None:
    before = (await client.get("/agent/status"))[1]
    for name, data in NO_SHAPE.items():
        status, error = await sent(client, method, path, data)
        assert (name, status, error["code"]) == (name, 400, "invalid_request")
        assert 0 < len(error["message"]) <= 2_000
        assert "Traceback" not in error["message"]
    too_large = b" " * (3 * 2**20 if path != "/agent/conversation" else 33 * 2**20)
    status, error = await sent(client, method, path, too_large)
    assert (status, error["code"]) == (413, "invalid_request")
    assert (await client.get("/agent/status"))[1] == before


# Sound JSON with one field that cannot be.
NO_VALUE: dict[str, tuple[str, str, bytes]] = {
    "a huge number": ("POST", "/agent/execute", b'{"max_steps": 1' + b"0" * 5_000 + b"}"),
    "an endless number": ("POST", "/agent/execute", body(TASK)[:-1] + b', "max_steps": 1e999}'),
    "not a number": ("POST", "/agent/execute", body(TASK)[:-1] + b', "max_steps": NaN}'),
    "beyond 64 bits": ("POST", "/agent/execute", body(TASK, max_steps=2**64)),
    "a broken step": ("POST", "/agent/execute", body(TASK, max_steps=1.5)),
    "a surrogate": ("POST", "/agent/execute", body(TASK, text="\ud800")),
    "a surrogate model": ("POST", "/agent/execute", body(TASK, model="\udfff")),
    "a nul in the id": ("POST", "/agent/execute", body(TASK, task_id="a\0")),
    "a line end after the id": ("POST", "/agent/execute", body(TASK, task_id="a\n")),
    "a deep text": ("POST", "/agent/execute", b'{"text": ' + DEEP.encode() + b"}"),
    "an unknown mode": ("POST", "/agent/chat", body({"message_id": "m", **TASK}, mode="shout")),
    "a nul in the repository": ("POST", "/agent/workspace", body(CLONE, repository="a/\0b")),
    "a nul in the url": ("POST", "/agent/workspace", body(CLONE, clone_url="file:///a\0b")),
    "a nul in the source": ("POST", "/agent/workspace", body(CLONE, source_branch="a\0b")),
    "a nul in the target": ("POST", "/agent/workspace", body(CLONE, target_branch="a\0b")),
    "a nul in the author": ("POST", "/agent/workspace", body(CLONE, author_name="a\0b")),
    "lines in the author": ("POST", "/agent/workspace", body(CLONE, author_email="a\nb\n")),
    "another scheme": ("POST", "/agent/workspace", body(CLONE, clone_url="ext::sh -c true")),
    "an option as url": ("POST", "/agent/workspace", body(CLONE, clone_url="--upload-pack=x")),
    "a url with a password": ("POST", "/agent/push", b'{"clone_url": "http://a:b@127.0.0.1/"}'),
    "a nul to push to": ("POST", "/agent/push", body({"clone_url": "file:///a\0b"})),
    "a message of nobody": ("PUT", "/agent/conversation", body(SAVED, messages=[{"role": "x"}])),
    "deep messages": (
        "PUT", "/agent/conversation",
        body(SAVED)[:-3] + b'[{"role": "user", "content": ' + DEEP.encode() + b"}]}",
    ),
    "a negative place": ("PUT", "/agent/conversation", body(SAVED, last_seq=-1)),
    "a place beyond numbers": ("PUT", "/agent/conversation", body(SAVED, last_seq=10**30)),
    "a later protocol": ("PUT", "/agent/conversation", body(SAVED, protocol=10**9)),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "data"), NO_VALUE.values(), ids=NO_VALUE.keys())
async def test_a_value_that_cannot_be_is_refused(
    empty: Client, method: str, path: str, data: bytes
) -> None:
    status, error = await sent(empty, method, path, data)
    assert (status, error["code"]) == (400, "invalid_request")
    after = (await empty.get("/agent/status"))[1]
    assert (after["status"], after["last_seq"]) == ("empty", 0)


async def test_the_last_of_two_equal_keys_counts(client: Client, provider: Provider) -> None:
    provider.script = [says("Done.")]
    twice = b'{"task_id": "../x", "text": "first", "model": "m", "task_id": "t1", "text": "last"}'
    assert (await sent(client, "POST", "/agent/execute", twice))[0] == 202
    await client.frames("task_finished")
    assert provider.requests[0]["messages"][-1]["content"].endswith("last")


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/xml", "multipart/form-data; boundary=x", "", "\u00fc/\u00fc"],
)
async def test_the_content_type_changes_nothing(
    client: Client, provider: Provider, kind: str
) -> None:
    provider.script = [says("Done.")]
    headers = {"Content-Type": kind, "Accept": "application/json"}
    async with client.http.post(
        client.url + "/agent/execute", data=body(TASK), headers=headers
    ) as response:
        assert response.status == 202
    await client.frames("task_finished")


async def test_a_nul_in_a_text_is_text(client: Client, provider: Provider) -> None:
    provider.script = [says("Done.")]
    await client.execute(text="a\0b", author="\0", model="\0")
    await client.frames("task_finished")
    assert "a\0b" in provider.requests[0]["messages"][-1]["content"]


@pytest.mark.parametrize("path", sorted({item.path for item in ROUTES}))
async def test_every_other_method_is_refused_and_told_the_right_ones(
    client: Client, path: str
) -> None:
    offered = {item.method.upper() for item in ROUTES if item.path == path}
    others = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - offered
    for method in others:
        async with client.http.request(
            method, client.url + path.format(id="m1", name="a.txt")
        ) as response:
            assert response.status == 405, method
            assert set(response.headers["Allow"].split(",")) == offered


@pytest.mark.parametrize("header", [True, False], ids=["header", "query"])
@pytest.mark.parametrize(
    "place", ["", " ", "x", "-1", "+1", "1.0", "1e3", "0x1", "1 2", "9" * 15, "9" * 5_000, "\u0661"]
)
async def test_a_place_that_is_none_is_refused_before_anything_begins(
    client: Client, provider: Provider, place: str, header: bool
) -> None:
    told: dict[str, Any] = (
        {"headers": {"Last-Event-ID": place}} if header else {"params": {"after": place}}
    )
    for method, path in (("GET", "events"), ("GET", "ws"), ("POST", "execute"), ("POST", "chat")):
        data = body({"message_id": "m1", **TASK}) if path == "chat" else body(TASK)
        url = f"{client.url}/agent/{path}"
        async with client.http.request(method, url, data=data, **told) as response:
            assert response.status == 400
            assert (await response.json())["error"]["code"] == "invalid_request"
    assert (await client.get("/agent/status"))[1]["status"] == "idle"
    assert provider.requests == []


HEAD = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n".encode()
NO_HTTP: dict[str, bytes] = {
    "noise": bytes(range(256)) * 4 + b"\r\n\r\n",
    "a tls hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n",
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "http/9": b"GET /health HTTP/9.9\r\n" + HEAD + b"\r\n",
    "an unknown method": b"STEAL /health HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a nul in the path": b"GET /hea\0lth HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a nul in a header": b"GET /health HTTP/1.1\r\n" + HEAD + b"X: a\0b\r\n\r\n",
    "a long path": b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a long header": b"GET /health HTTP/1.1\r\n" + HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET /health HTTP/1.1\r\n" + HEAD + b"X: y\r\n" * 1_000 + b"\r\n",
    "no name": b"GET /health HTTP/1.1\r\n" + HEAD + b": x\r\n\r\n",
    "a space in a name": b"GET /health HTTP/1.1\r\n" + HEAD + b"X : y\r\n\r\n",
    "two lengths": (
        b"PUT /agent/patch HTTP/1.1\r\n" + HEAD
        + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"
    ),
    "a negative length": b"PUT /agent/patch HTTP/1.1\r\n" + HEAD + b"Content-Length: -1\r\n\r\n",
    "a length in words": b"PUT /agent/patch HTTP/1.1\r\n" + HEAD + b"Content-Length: 1e3\r\n\r\n",
    "a length and chunks": (
        b"PUT /agent/patch HTTP/1.1\r\n" + HEAD
        + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "chunks of chunks": (
        b"PUT /agent/patch HTTP/1.1\r\n" + HEAD
        + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"
    ),
    "a chunk of no size": (
        b"POST /agent/execute HTTP/1.1\r\n" + HEAD
        + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"
    ),
    "no upgrade": b"GET /agent/ws HTTP/1.1\r\n" + HEAD + b"\r\n",
    "an old websocket": (
        b"GET /agent/ws HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 1\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        + HEAD.replace(b"close", b"upgrade") + b"\r\n"
    ),
    "a websocket's short key": (
        b"GET /agent/ws HTTP/1.1\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: x\r\n" + HEAD.replace(b"close", b"upgrade") + b"\r\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("data", NO_HTTP.values(), ids=NO_HTTP.keys())
async def test_what_is_no_http_gets_400_or_nothing(
    client: Client, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = client.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(data)
    try:
        async with asyncio.timeout(5):
            answer = await reader.readuntil(b"\r\n")
    except (ConnectionError, asyncio.IncompleteReadError):
        answer = b""
    writer.transport.abort()
    assert answer[:13] in (b"HTTP/1.1 400 ", b"HTTP/1.0 400 ", b"")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert (await client.get("/agent/status"))[1]["status"] == "idle"


async def sent(client: Client, method: str, path: str, data: bytes) -> tuple[int, Any]:
    """The status, and the error if there is one."""
    headers = {"Accept": "application/json"}
    async with client.http.request(
        method, client.url + path, data=io.BytesIO(data), headers=headers
    ) as response:
        answer = await response.json()
    return response.status, answer.get("error")


async def test_a_body_that_does_not_end_is_refused_and_its_connection_ends(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.http.server.BODY_SECONDS", 0.2)
    host, _, port = client.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"PUT /agent/patch HTTP/1.1\r\n" + HEAD + b"Content-Length: 100\r\n\r\n")
    async with asyncio.timeout(10):
        for _ in range(3):
            writer.write(b"x")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert b'"code": "invalid_request"' in await reader.read()  # to the end of the connection
    writer.transport.abort()
